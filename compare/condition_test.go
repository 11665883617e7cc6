package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tandem/capture"
)

// A recorded is one trial with its event.
type recorded struct{ event, baseline, candidate string }

// eventsOf gives invocations of f, whose IDs are those of lines.
func eventsOf(list []recorded) iter.Seq2[*capture.Invocation, error] {
	return func(yield func(*capture.Invocation, error) bool) {
		for i, r := range list {
			inv := &capture.Invocation{ID: fmt.Sprintf("i%05d", i), Function: "f", Event: json.RawMessage(r.event)}
			inv.Trigger, inv.Format = capture.Detect(inv.Event)
			if !yield(inv, nil) {
				return
			}
		}
	}
}

func runLines(list []recorded) (lines []string) {
	for i, r := range list {
		lines = append(lines, line(fmt.Sprintf("i%05d", i), "f", r.baseline, r.candidate))
	}
	return lines
}

// post is a request of API Gateway with a body.
func post(body string, more ...string) string {
	return fmt.Sprintf(`{"version":"2.0","routeKey":"POST /o","rawPath":"/o/1234","rawQueryString":"",
		"requestContext":{"http":{"method":"POST"},"requestId":"%d"},"body":%s%s}`, len(body), mustQuote(body), strings.Join(more, ""))
}

func mustQuote(s string) string {
	doc, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(doc)
}

func sqs(bodies ...string) string {
	var records []string
	for i, b := range bodies {
		records = append(records, fmt.Sprintf(`{"eventSource":"aws:sqs","messageId":"m%d","body":%s}`, i, mustQuote(b)))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

func TestConditionsOnEvents(t *testing.T) {
	same := answer(`{"v":1}`)
	other := func(bad bool) string {
		if bad {
			return answer(`{"v":2}`)
		}
		return same
	}
	random := rand.New(rand.NewPCG(7, 7))
	for _, tt := range []struct {
		name  string
		event func(i int) (event string, bad bool)
		want  string
	}{
		{"an empty list inside the text of a body", func(i int) (string, bool) {
			items := []string{`[]`, `[{"n":1}]`, `[{"n":1},{"n":2}]`}[i%3]
			return post(fmt.Sprintf(`{"items":%s,"id":%d}`, items, i)), i%3 == 0
		}, "only where body.items is empty"},
		{"a missing field", func(i int) (string, bool) {
			if i%4 == 0 {
				return post(`{"a":1}`), true
			}
			return post(fmt.Sprintf(`{"a":1,"note":"n%d"}`, i)), false
		}, "only where body.note is missing"},
		{"null is not missing", func(i int) (string, bool) {
			return post(`{"a":1` + []string{`,"note":null`, ``, `,"note":"x"`}[i%3] + `}`), i%3 == 0
		}, "only where body.note is null"},
		{"a value", func(i int) (string, bool) {
			currency := []string{"EUR", "USD", "JPY"}[i%3]
			return post(fmt.Sprintf(`{"currency":%q,"n":%d}`, currency, i)), currency == "JPY"
		}, `only where body.currency is "JPY"`},
		{"two values", func(i int) (string, bool) {
			currency := []string{"EUR", "USD", "JPY", "KRW", "CHF"}[i%5]
			return post(fmt.Sprintf(`{"currency":%q}`, currency)), i%5 == 2 || i%5 == 3
		}, `only where body.currency is one of "JPY", "KRW"`},
		{"values that may be secrets are not told", func(i int) (string, bool) {
			return post(fmt.Sprintf(`{"apiKey":%q}`, []string{"aaa", "bbb", "ccc"}[i%3])), i%3 == 0
		}, ""},
		{"a long text", func(i int) (string, bool) {
			n := 20 + random.IntN(100)
			return post(fmt.Sprintf(`{"text":"%s"}`, strings.Repeat("x", n))), n > 80
		}, "only where body.text is longer than 80 characters"},
		{"a negative number", func(i int) (string, bool) {
			n := random.IntN(100) - 50
			return post(fmt.Sprintf(`{"n":%d}`, n)), n < 0
		}, "only where body.n is negative"},
		{"a large number", func(i int) (string, bool) {
			n := random.IntN(1000)
			return post(fmt.Sprintf(`{"n":%d}`, n)), n > 500
		}, "only where body.n is over 500"},
		{"a plus in a header", func(i int) (string, bool) {
			h := []string{"a b", "a+b", "a"}[i%3]
			return post(`{}`, fmt.Sprintf(`,"headers":{"X-Tag":"%s%d"}`, h, i)), i%3 == 1
		}, "only where headers.x-tag has a plus sign"},
		{"a path, whatever the number in it", func(i int) (string, bool) {
			path := []string{"/o/%d/pay", "/o/%d/quote"}[i%2]
			return strings.Replace(post(`{}`), "/o/1234", fmt.Sprintf(path, i), 1), i%2 == 0
		}, `only where path is "/o/*/pay"`},
		{"a query parameter", func(i int) (string, bool) {
			q := []string{`,"queryStringParameters":{"page":"%d"}`, `,"queryStringParameters":{"x":"%d"}`}[i%2]
			return post(`{}`, fmt.Sprintf(q, i)), i%2 == 0
		}, "only where query.page is there"},
		{"a cookie", func(i int) (string, bool) {
			return post(`{}`, []string{`,"cookies":["sid=1"]`, `,"cookies":["a=1"]`}[i%2]), i%2 == 0
		}, "only where cookies.sid is there"},
		{"a batch", func(i int) (string, bool) {
			n := 1 + random.IntN(5)
			return sqs(slices.Repeat([]string{`{"a":1}`}, n)...), n > 1
		}, "only where records has more than 1 element"},
		{"an element of a batch", func(i int) (string, bool) {
			bodies := []string{`{"qty":1}`, `{"qty":2}`}
			if i%3 == 0 {
				bodies[i%2] = `{"qty":-1}`
			}
			return sqs(bodies...), i%3 == 0
		}, "only where some records[].body.qty is negative"},
		{"a type", func(i int) (string, bool) {
			return post(fmt.Sprintf([]string{`{"n":"%d"}`, `{"n":%d}`}[i%2], i+1)), i%2 == 0
		}, "only where body.n is a string"},
		{"two together", func(i int) (string, bool) {
			a, b := random.IntN(2) == 0, random.IntN(2) == 0
			return post(fmt.Sprintf(`{"a":%v,"b":%v}`, a, b)), a && b
		}, "only where body.a is true and body.b is true"},
		{"chance", func(i int) (string, bool) {
			return post(fmt.Sprintf(`{"n":%d,"s":"%x","b":%v}`, random.IntN(1000), random.Uint64(), random.IntN(2) == 0)), random.IntN(3) == 0
		}, ""},
		{"most of them is not enough", func(i int) (string, bool) {
			flag := i%2 == 0
			return post(fmt.Sprintf(`{"flag":%v}`, flag)), flag != (i%20 == 0)
		}, ""},
		{"all trials differ", func(i int) (string, bool) { return post(`{"a":1}`), true }, ""},
		{"too few are outside", func(i int) (string, bool) {
			return post(fmt.Sprintf(`{"flag":%v}`, i < 4)), i >= 4
		}, ""},
	} {
		var list []recorded
		for i := range 200 {
			event, bad := tt.event(i)
			list = append(list, recorded{event, same, other(bad)})
		}
		r := mustCompare(t, Options{Events: eventsOf(list)}, runLines(list)...)
		if len(r.Clusters) != 1 || r.Clusters[0].Condition != tt.want {
			t.Errorf("%s: %d clusters, %q, want %q", tt.name, len(r.Clusters), r.Clusters[0].Condition, tt.want)
		}
		if plain := mustCompare(t, Options{}, runLines(list)...); plain.Clusters[0].Condition != "" {
			t.Errorf("%s: %q without a recording", tt.name, plain.Clusters[0].Condition)
		}
	}
}

func TestSplitClustersHaveConditionsOfTheirOwn(t *testing.T) {
	var list []recorded
	for i := range 300 {
		n := i + 1
		event, c := post(fmt.Sprintf(`{"currency":"EUR","n":%d}`, n)), fmt.Sprint(n)
		switch i % 3 {
		case 0:
			event, c = post(fmt.Sprintf(`{"currency":"JPY","n":%d}`, n)), fmt.Sprintf("%d00", n)
		case 1:
			event, c = post(fmt.Sprintf(`{"refund":true,"n":%d}`, n)), fmt.Sprintf("-%d", n)
		}
		list = append(list, recorded{event, answer(fmt.Sprintf(`{"v":%d}`, n)), answer(`{"v":` + c + `}`)})
	}
	var got []string
	for _, c := range mustCompare(t, Options{Events: eventsOf(list)}, runLines(list)...).Clusters {
		got = append(got, fmt.Sprintf("%d %s, %s", c.Trials, c.Cause, c.Condition))
	}
	want := []string{`100 always ×100, only where body.currency is "JPY"`, "100 the opposite sign, only where body.refund is there"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// In noise, whatever the fields, a condition is found by chance in hardly one run of a hundred.
func TestChanceIsNoCondition(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	told := 0
	for range 60 {
		var list []recorded
		for range 40 {
			body := "{"
			for k := range 30 {
				body += fmt.Sprintf(`"f%d":%d,`, k, random.IntN(3))
			}
			c := answer(`{"v":1}`)
			if random.IntN(10) == 0 {
				c = answer(`{"v":2}`)
			}
			list = append(list, recorded{post(body + `"z":0}`), answer(`{"v":1}`), c})
		}
		for _, c := range mustCompare(t, Options{Events: eventsOf(list)}, runLines(list)...).Clusters {
			if c.Condition != "" {
				told++
				t.Log(c.Trials, c.Condition)
			}
		}
	}
	if told > 1 {
		t.Errorf("%d of 60 runs of noise have a condition", told)
	}
}

func TestARecordingThatCannotBeReadHasNoConditions(t *testing.T) {
	broken := func(yield func(*capture.Invocation, error) bool) { yield(nil, errors.New("it is broken")) }
	r := mustCompare(t, Options{Events: broken}, line("a", "f", answer(`1`), answer(`2`)))
	if r.Verdict != Differs || !strings.Contains(strings.Join(r.Reasons, "\n"), "it is broken") {
		t.Errorf("%s: %q", r.Verdict, r.Reasons)
	}
}

func TestConditionsDoNotDependOnWorkersOrOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 10))
	var list []recorded
	for i := range 400 {
		n := random.IntN(1000) + 1
		event := post(fmt.Sprintf(`{"n":%d,"c":%q,"items":%s}`, n, []string{"A", "B", "C"}[i%3], []string{"[]", "[1]"}[random.IntN(2)]))
		c := fmt.Sprintf(`{"v":%d,"w":{"v":%d},"x":[1]}`, n, n)
		switch {
		case i%3 == 0:
			c = fmt.Sprintf(`{"v":%d00,"w":{"v":%d00},"x":[1]}`, n, n)
		case n > 700:
			c = fmt.Sprintf(`{"v":-%d,"w":{"v":%d},"x":null}`, n, n)
		}
		list = append(list, recorded{event, answer(fmt.Sprintf(`{"v":%d,"w":{"v":%d},"x":[1]}`, n, n)), answer(c)})
	}
	lines := runLines(list)
	want := mustJSON(t, mustCompare(t, Options{Events: eventsOf(list), Workers: 1}, lines...))
	if n := strings.Count(want, "only where"); n < 2 {
		t.Errorf("%d conditions: %s", n, want)
	}
	for workers := range 4 {
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		if got := mustJSON(t, mustCompare(t, Options{Events: eventsOf(list), Workers: workers + 1}, lines...)); got != want {
			t.Errorf("%d workers, another order:\n%s\nwant\n%s", workers+1, got, want)
		}
	}
}

func TestAnEventThatIsTooLargeIsLeftOut(t *testing.T) {
	var list []recorded
	for i := range 40 {
		c, event := answer(`{"v":1}`), post(`{"a":[1],"z":1}`)
		if i%2 == 0 {
			c, event = answer(`{"v":2}`), post(`{"a":[`+strings.Repeat("1,", maxEventNodes)+`1],"z":1}`)
		}
		list = append(list, recorded{event, answer(`{"v":1}`), c})
	}
	if c := mustCompare(t, Options{Events: eventsOf(list)}, runLines(list)...).Clusters[0]; c.Condition != "" {
		t.Errorf("%q, though half of the events were not looked at as a whole", c.Condition)
	}
}

func TestASampleIsTheSameInAnyOrder(t *testing.T) {
	trials := make([]sampled, 3*sampleSize)
	for i := range trials {
		id := fmt.Sprintf("01K%d", i)
		trials[i] = sampled{rank: scattered(hash64(id)), invocation: id}
	}
	want := slices.Clone(trials)
	slices.SortFunc(want, compareSampled)
	random := rand.New(rand.NewPCG(9, 9))
	for range 5 {
		random.Shuffle(len(trials), func(i, j int) { trials[i], trials[j] = trials[j], trials[i] })
		var parts [3]eventSample
		for i, trial := range trials {
			parts[i%3].take(trial)
		}
		var all eventSample
		for i := range parts {
			all.merge(&parts[i])
		}
		all.trim()
		if !slices.EqualFunc(all.trials, want[:sampleSize], func(a, b sampled) bool { return a.invocation == b.invocation }) {
			t.Error("another sample")
		}
	}
}

func TestFisherIsThatOfTheTeaTasting(t *testing.T) {
	for _, tt := range []struct {
		hits, holds, inside, all int
		want                     float64
	}{{4, 4, 4, 8, 1.0 / 70}, {3, 4, 4, 8, 17.0 / 70}, {0, 4, 4, 8, 1}, {5, 5, 5, 5, 1}} {
		if p := fisher(tt.hits, tt.holds, tt.inside, tt.all); p < tt.want-1e-9 || p > tt.want+1e-9 {
			t.Errorf("%+v: %g", tt, p)
		}
	}
}

func TestLimitsAreRound(t *testing.T) {
	for _, tt := range []struct{ low, high, want float64 }{
		{78, 83, 80}, {-3, 5, 0}, {80, 81, 80}, {1.23, 1.31, 1.3}, {2e9, 3e9, 1<<31 - 1}, {9e15, 9.1e15, 1<<53 - 1}, {-70, -61, -70},
	} {
		if got := roundBetween(tt.low, tt.high); got != tt.want {
			t.Errorf("from %g to %g: %g, want %g", tt.low, tt.high, got, tt.want)
		}
	}
}

func FuzzEvents(f *testing.F) {
	for _, event := range []string{
		post(`{"items":[]}`, `,"cookies":["a=b"],"headers":{"Cookie":"c=d"},"isBase64Encoded":true`), sqs(`{"a":1}`, "x"), `[[[1]]]`,
		`{"Records":[{"eventSource":"aws:s3","s3":{"object":{"key":"a+b"}}}]}`, `{"a.b":{"":"eyJhIjoxfQ=="}}`, `"{\"a\":\"[1]\"}"`,
	} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		inv := &capture.Invocation{ID: "i", Function: "f", Event: event}
		view, err := eventView(inv)
		if err != nil {
			return
		}
		room := maxAllPaths
		table := newTable(make([]sampled, 2), &room)
		table.add(0, view)
		table.seen.set(1)
		for _, c := range table.conditions() {
			if c.text == "" || table.seen.has(0) && c.holds.count() != 1 {
				t.Errorf("%q holds for %d of one event and nothing", c.text, c.holds.count())
			}
		}
		if len(table.columns) > maxEventPaths {
			t.Errorf("%d columns", len(table.columns))
		}
	})
}
