package compare

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// A scribe writes random outcomes, and others that mean the same, or almost: it is made twice from one seed, once to
// write what the baseline says and once for the candidate.
type scribe struct {
	*rand.Rand
	order *rand.Rand  // of what is only the candidate's, such as the order of members
	ids   [][2]string // of the two sides
	other bool        // it writes what the candidate says
	wild  int         // one of so many values that could be written otherwise is
}

// pick returns the first form; the candidate's may be another one.
func (s *scribe) pick(forms ...string) string {
	n := s.IntN(s.wild)
	if s.other && n < len(forms) {
		return forms[n]
	}
	return forms[0]
}

// often returns the first form mostly, on both sides.
func (s *scribe) often(forms ...string) string {
	if n := s.IntN(6 * len(forms)); n < len(forms) {
		return forms[n]
	}
	return forms[0]
}

// sometimes is true seldom, and then may be false for the candidate.
func (s *scribe) sometimes(in int) bool { return s.IntN(in) == 0 && s.pick("yes", "no") == "yes" }

// list joins what the candidate may have in another order, or less of.
func (s *scribe) list(items []string) string {
	if s.other && s.order.IntN(s.wild) == 0 && len(items) > 1 {
		if s.order.IntN(3) > 0 {
			s.order.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		} else {
			items = items[1:]
		}
	}
	return strings.Join(items, s.pick(",", " ,\t"))
}

func (s *scribe) id() string {
	pair := s.ids[s.IntN(len(s.ids))]
	if s.other {
		return pair[1]
	}
	return pair[0]
}

func (s *scribe) hasID(in int) bool { return s.IntN(in) == 0 && len(s.ids) > 0 }

func (s *scribe) value(depth int) string {
	if s.hasID(4) {
		id := s.id()
		return []string{
			`"` + id + `"`, `"/x/` + id + `"`, `{"` + id + `":1}`, `{"id":"` + id + `"}`, `"a ` + id + `,` + id + `"`, `"x` + id + `"`,
			`"{\"id\":\"` + id + `\"}"`, `[{"id":"` + id + `"},"` + id + `"]`, `"\u000a` + id + `"`,
		}[s.IntN(9)]
	}
	switch s.IntN(4 + depth) {
	case 0:
		return s.often(s.pick("1", "1.0", "10e-1", "0.1e1", "2"), s.pick("0", "-0", "0.0", "0E9"), "1234567", s.pick("-1e5", "-100000", "-1E+5"))
	case 1:
		return s.often(s.pick(`"a"`, `"\u0061"`, `"A"`), s.pick(`"/"`, `"\/"`), s.pick(`"😀"`, `"\ud83d\ude00"`), "\"\xff\"", s.pick(`"\ud800"`, `"\ud801"`),
			s.pick(`"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.5Z"`), s.pick(`"{\"a\":1}"`, `"{\"a\":1.0}"`, `"{\"a\": 1}"`), `""`)
	case 2:
		return s.often("null", "true", "[]", "{}", s.pick("[ ]", "[]"), s.pick("{}", "{ }"), s.pick("null", "false"))
	case 3:
		if s.IntN(60) == 0 {
			n := 1 + s.IntN(450)
			return strings.Repeat("[", n) + s.pick("1", "1.0") + strings.Repeat("]", n)
		}
		items := make([]string, s.IntN(4))
		if s.IntN(60) == 0 {
			items = make([]string, 100)
		}
		for i := range items {
			items[i] = s.value(min(depth-1, 0))
		}
		return s.pick("[", "[ ") + s.list(items) + "]"
	default:
		return s.object(depth)
	}
}

func (s *scribe) object(depth int) string {
	names := []string{`"a"`, `"b"`, `"c"`, `"d"`, `"e"`, `"id"`, `"parts"`, `"~/"`, `"é"`}
	members := make([]string, s.IntN(6))
	for i := range members {
		name := names[s.IntN(len(names))]
		if s.IntN(12) == 0 {
			name = s.pick(`"a"`, `"\u0061"`)
		}
		members[i] = name + s.pick(":", ": ") + s.value(max(depth-1, 0))
	}
	return "{" + s.list(members) + "}"
}

func (s *scribe) body() string {
	switch s.IntN(14) {
	case 0:
		return s.often(`{"text":"a"}`, `{"text":"{\"a\":1}\n{\"b\":2}"}`, `{"text":""}`, `{"text":"<?xml version=\"1.0\"?><a/>"}`, `{"text":`+s.pick(`"a&b"`, `"a\u0026b"`)+`}`)
	case 1:
		return s.often(`{"base64":"AAE="}`, `{"base64":""}`, `{"base64":"!"}`)
	case 2:
		return `{"json":` + s.value(1) + `}`
	}
	return `{"json":` + s.object(4) + `}`
}

func (s *scribe) headers() string {
	types := s.often("application/json", "text/plain", "text/html; charset=utf-8", "application/json; charset=UTF-8", "multipart/mixed; boundary=x", "TEXT/PLAIN")
	all := []string{
		`"content-type":["` + types + `"]`, `"x-a":["` + s.pick("1", "2") + `"]`, `"vary":["` + s.pick("a, b", "B,a", "c") + `"]`,
		`"date":["` + s.pick("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT") + `"]`, `"x-b":["1","2"]`, `"x-c":[]`,
		`"x-d":` + s.often(`["\ud800"]`, "null", "1", `[1]`, `["\u0061"]`), `"X-E":["1"]`, `"content-encoding":["gzip"]`, `"etag":["\"x\""]`,
		`"cache-control":["` + s.pick("no-cache, max-age=1", "max-age=1,no-cache") + `"]`,
	}
	if len(s.ids) > 0 {
		all = append(all, `"location":["/x/`+s.id()+`"]`, `"x-`+s.id()+`":["1"]`, `"x-f":["`+s.id()+`"]`, `"vary":["`+strings.ToUpper(s.id())+`"]`)
	}
	var headers []string
	for _, i := range s.Perm(len(all))[:s.IntN(4)] {
		if s.pick("there", "not") == "there" {
			headers = append(headers, all[i])
		}
	}
	return s.inOrder(headers)
}

// inOrder joins members by their names, as most writers do.
func (s *scribe) inOrder(members []string) string {
	if s.IntN(10) > 0 {
		for i := range members {
			for j := i; j > 0 && members[j] < members[j-1]; j-- {
				members[j], members[j-1] = members[j-1], members[j]
			}
		}
	}
	return strings.Join(members, ",")
}

func (s *scribe) cookies() string {
	value := s.pick("1", "2")
	if s.hasID(2) {
		value = s.id()
	}
	one := `{"name":"sid","value":"` + value + `","attributes":{"path":"/","samesite":"` + s.pick("Lax", "lax") + `","domain":"` + s.pick("A.B", "a.b") + `"}}`
	return s.often("["+one+"]", "[]", "null", "["+one+`,{"name":"b","value":"c"}]`, `[{"name":"b"}]`, `[{"name":1}]`)
}

func (s *scribe) effects() string {
	effects := make([]string, s.IntN(4))
	for i := range effects {
		key := `"key":"` + s.often(s.pick("k", "K"), "l", s.pick(`k`, `\u006b`), "") + `",`
		if s.hasID(2) {
			key = `"key":"` + s.id() + `",`
		} else if s.IntN(3) == 0 {
			key = ""
		}
		attributes := s.often(`,"attributes":{"a":"`+s.pick("b", "c")+`"}`, "", `,"attributes":{}`, `,"attributes":{"a":"b","content-type":"`+s.pick("text/plain", "TEXT/plain")+`"}`,
			`,"attributes":{"a":null}`, `,"attributes":{"content-encoding":"gzip"}`)
		effects[i] = fmt.Sprintf(`{"kind":"%s","resource":"%s",%s"body":%s%s}`,
			s.often("object.put", "message.send", "object.delete"), s.often("r", "q"), key, s.body(), attributes)
	}
	return s.often("[", "[ ") + s.list(effects) + "]"
}

func (s *scribe) outcome() string {
	members := []string{`"status":"` + s.pick("ok", "ok", "function_error", "timeout") + `"`}
	if s.IntN(6) == 0 {
		members = append(members, `"result":`+s.body())
	} else {
		http := []string{`"status":` + s.pick("200", "201", "404")}
		if s.IntN(8) > 0 {
			http = append(http, `"headers":{`+s.headers()+"}")
		}
		if s.IntN(3) == 0 {
			http = append(http, `"cookies":`+s.cookies())
		}
		if s.IntN(8) > 0 {
			http = append(http, `"body":`+s.body())
		}
		members = append(members, `"http":{`+s.list(http)+"}")
	}
	if s.sometimes(4) {
		members = append(members, `"records":`+s.often(`{"m":"acked","n":"`+s.pick("acked", "retried")+`"}`, "{}", "{ }", "null", `{"m":"`+s.pick("acked", "x")+`"}`))
	}
	if s.sometimes(20) {
		members = append(members, s.often(`"error":{"type":"E"}`, `"error":null`, `"tries":[]`, `"tries":null`))
	}
	for _, name := range []string{"durationMs", "platformMs", "initMs", "billedMs", "memoryMb", "attempts"} {
		if s.IntN(3) == 0 {
			members = append(members, fmt.Sprintf(`%q:%s`, name, s.often(s.pick("12", "7"), "0", "1e999", "0.5")))
		}
	}
	switch s.IntN(6) {
	case 0:
	case 1:
		members = append(members, `"effects":`+s.pick("null", "[]"))
	default:
		members = append(members, `"effects":`+s.effects())
	}
	return "{" + s.list(members) + "}"
}

// randomLine writes a trial whose outcomes match, or almost. Now and then it is no trial.
func randomLine(random *rand.Rand, id string) string {
	ids := [][2]string{
		{"ord_AAAA1", "new_BBBB1"}, {"ord_AAAA2", "new_BBBB2"}, {"17", "18"}, {"same_id", "same_id"}, {"1234567", "7654321"},
		{"ord_AAAA", "new_BBBB"}, {"new_BBBB1", "new_BBBB3"}, {"swap_01", "swap_02"}, {"swap_02", "swap_01"}, {"a/b/c/d", "b/c/d/e"},
	}
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	seed, known, wild := random.Uint64(), ids[:random.IntN(4)], []int{6, 12, 40, 200, 1000}[random.IntN(5)]
	write := func(other bool) string {
		return (&scribe{Rand: rand.New(rand.NewPCG(seed, 1)), order: random, ids: known, other: other, wild: wild}).outcome()
	}
	b, c := write(false), write(true)
	outcomes := []string{`"lambda":` + b, `"functions":` + c}
	if random.IntN(4) == 0 {
		outcomes = append(outcomes, `"recording":`+[]string{b, c, `{"status":"ok"}`, `{"status":"ok","records":1}`, randomOutcome(random)}[random.IntN(5)])
	}
	random.Shuffle(len(outcomes), func(i, j int) { outcomes[i], outcomes[j] = outcomes[j], outcomes[i] })
	trigger := []string{"http", "sqs"}[random.IntN(2)]
	line := fmt.Sprintf(`{"invocation":%q,"function":"f%.*s","trigger":%q,"lane":"","outcomes":{%s}}`, id, random.IntN(2), "g", trigger, strings.Join(outcomes, ","))
	if random.IntN(4) == 0 { // one thing changed
		i := len(id) + 30 + random.IntN(len(line)-len(id)-30)
		switch random.IntN(4) {
		case 0:
			line = line[:i] + string(line[random.IntN(len(line))]) + line[i+1:]
		case 1:
			line = line[:i] + line[i+1:]
		default:
			from := [][2]string{{"1", "2"}, {`"a"`, `"b"`}, {`{"`, `{"z":0,"`}, {"[1", "[1,1"}, {"null", "0"}, {"BBBB1", "BBBB9"}, {"AAAA1", "BBBB1"}}[random.IntN(7)]
			if k := strings.LastIndex(line[:i], from[0]); k > 40 {
				line = line[:k] + strings.Replace(line[k:], from[0], from[1], 1)
			}
		}
	}
	return line
}

func randomOutcome(random *rand.Rand) string {
	return (&scribe{Rand: random, order: random, wild: 12}).outcome()
}

func TestTheShortcutAndTheObviousWayAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	matches, taken := 0, 0
	for range 100 {
		c := newShortcutChecker(t, rulesOf(random.Uint32()))
		for range 15 {
			m, s := c.check(t, []byte(randomLine(random, "i")))
			if m {
				matches++
			}
			if s {
				taken++
			}
		}
	}
	if matches < 150 || taken < matches/3 {
		t.Errorf("%d pairs match, and the shortcut was taken for %d of them: the test shows little", matches, taken)
	}
}

// Whole runs, so that the memory of lines and batches is used again, and with aliases that hold over the run or do not.
func TestReportsAreTheSameByTheShortcutAndTheObviousWay(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	verdicts := make(map[Verdict]int)
	for i := range 4 {
		rules := rulesOf(random.Uint32())
		c := newShortcutChecker(t, rules)
		var lines, obvious []string
		for n := range 1 + random.IntN(batchSize+50) {
			line := randomLine(random, fmt.Sprint(n))
			if matches, _ := c.check(t, []byte(line)); !matches && i%2 == 0 {
				continue // so that some runs end in parity
			}
			lines, obvious = append(lines, line), append(obvious, string(obviously([]byte(line))))
		}
		opts := Options{Rules: rules, Workers: 1 + i%2, Salvage: true, Prices: map[string]*Price{"lambda": {GBSecond: 1}, "functions": {Request: 1, StepMS: 100}}}
		got, err := compareLines(t, opts, lines...)
		want, wantErr := compareLines(t, opts, obvious...)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("the error is %v, want %v", err, wantErr)
		}
		if err != nil {
			continue
		}
		if !reflect.DeepEqual(mustJSON(t, got), mustJSON(t, want)) {
			t.Fatalf("the report is\n%s\nand should be\n%s\nrules %+v\n%s", mustJSON(t, got), mustJSON(t, want), rules, strings.Join(lines, "\n"))
		}
		verdicts[got.Verdict]++
	}
	if verdicts[Differs] == 0 || verdicts[Parity] == 0 {
		t.Errorf("the verdicts were %v: the test shows little", verdicts)
	}
}
