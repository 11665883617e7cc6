package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"tandem/capture/journal"
	"tandem/replay"
)

// A naive ledger says by maps which values contradict: those that occur in several trials, with more than one
// partner.
type naiveLedger struct {
	partners map[aliasKey]map[string]bool
	trials   map[aliasKey]map[int]bool
}

func newNaiveLedger() *naiveLedger {
	return &naiveLedger{make(map[aliasKey]map[string]bool), make(map[aliasKey]map[int]bool)}
}

func (l *naiveLedger) note(trial int, pairs []aliasPair) {
	for _, p := range pairs {
		for i, key := range p.keys() {
			if l.trials[key] == nil {
				l.partners[key], l.trials[key] = make(map[string]bool), make(map[int]bool)
			}
			l.partners[key][[2]string{p.candidate, p.baseline}[i]] = true
			l.trials[key][trial] = true
		}
	}
}

func (l *naiveLedger) broken(k aliasKey) bool { return len(l.partners[k]) > 1 && len(l.trials[k]) > 1 }

func (l *naiveLedger) contradicts(p aliasPair) bool {
	keys := p.keys()
	return p.baseline != p.candidate && (l.broken(keys[0]) || l.broken(keys[1]))
}

// checkContradictions compares what is found of trials with what maps say.
func checkContradictions(t *testing.T, trials [][]aliasPair, memory int) (contradicted int) {
	t.Helper()
	notes, naive := newRunNotes(memory), newNaiveLedger()
	defer notes.close()
	for i, pairs := range trials {
		trial := &replay.Trial{Invocation: fmt.Sprint(i)}
		kept, _ := notes.keysOf(trial, pairs, nil)
		if err := notes.add(uint64(i), kept); err != nil {
			t.Fatal(err)
		}
		naive.note(i, pairs)
	}
	found, err := notes.contradictions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer found.close()
	for i, pairs := range trials {
		for _, p := range pairs {
			want := naive.contradicts(p)
			if got := found.why(p) != ""; got != want {
				t.Fatalf("trial %d of %d, %q and %q under rule %d, %d bytes: contradicted %v, want %v",
					i, len(trials), p.baseline, p.candidate, p.rule.index, memory, got, want)
			}
			if want {
				contradicted++
			}
		}
	}
	if err := found.err(); err != nil {
		t.Fatal(err)
	}
	return contradicted
}

func TestContradictionsAreThoseOfAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	rules := [2]rule{{index: 0}, {index: 1}}
	for _, tt := range []struct {
		name            string
		trials, mistake int // one pair in so many has another partner
		values          int // how many there are to choose from
		least, most     int // pairs that are contradicted
	}{
		{"none", 3000, 1 << 40, 1 << 40, 0, 0},
		{"none, though values are repeated", 3000, 1 << 40, 50, 0, 0},
		{"few", 3000, 1000, 500, 1, 3000},
		{"many", 3000, 2, 1500, 3000, 9000},
		{"all", 500, 1, 10, 900, 2000},
	} {
		trials := make([][]aliasPair, tt.trials)
		for i := range trials {
			for range random.IntN(5) {
				v := random.IntN(tt.values)
				p := aliasPair{rule: &rules[random.IntN(2)], baseline: fmt.Sprint("b", v), candidate: fmt.Sprint("c", v)}
				if random.IntN(tt.mistake) == 0 {
					p.candidate = fmt.Sprint("c", random.IntN(tt.values))
				}
				if random.IntN(10) == 0 {
					p.candidate = p.baseline
					p.rule = &rule{index: 2}
				}
				trials[i] = append(trials[i], p)
				if random.IntN(4) == 0 { // in another place, too
					p.path = "/again"
					trials[i] = append(trials[i], p)
				}
			}
		}
		for _, memory := range []int{0, 1, 20_000} {
			if n := checkContradictions(t, trials, memory); n < tt.least || n > tt.most {
				t.Errorf("%s: %d pairs are contradicted", tt.name, n)
			}
		}
	}
}

func FuzzContradictions(f *testing.F) {
	f.Add([]byte("aabbabbcca"), uint8(3), uint16(1))
	f.Add([]byte("axbxcxaxbycz"), uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, text []byte, perTrial uint8, memory uint16) {
		var trials [][]aliasPair
		rules := [2]rule{{index: 0}, {index: 1}}
		for len(text) > 1 {
			var pairs []aliasPair
			for ; len(text) > 1 && len(pairs) <= int(perTrial); text = text[2:] {
				pairs = append(pairs, aliasPair{rule: &rules[text[0]%2], baseline: string(text[:1]), candidate: string(text[1:2])})
			}
			trials = append(trials, pairs)
		}
		checkContradictions(t, trials, int(memory))
	})
}

// idLines are trials with IDs in two places. Of the candidate's, some are those of another trial.
func idLines(n int) (lines []string) {
	random := rand.New(rand.NewPCG(7, 8))
	for i := range n {
		other := i
		if random.IntN(3) == 0 {
			other = random.IntN(n)
		}
		doc := `{"id":"%s%06d","ref":"%[1]s%06[3]d"}`
		lines = append(lines, line(fmt.Sprint("i-", i), "f",
			answer(fmt.Sprintf(doc, "ord-", i, i/2)), answer(fmt.Sprintf(doc, "new-", other, i/2))))
	}
	return lines
}

var idRules = []Rule{{At: "/body/id", Treat: Alias, Why: "w"}, {At: "/body/ref", Treat: Alias, Why: "w"}}

func TestMemoryWorkersAndOrderDoNotChangeTheReportOfContradictions(t *testing.T) {
	emptyTemp(t)
	lines := idLines(1500)
	random := rand.New(rand.NewPCG(9, 10))
	var want []byte
	for _, memory := range []int{0, 1, 8 << 10, 50 << 10} {
		for _, workers := range []int{1, 3} {
			r := mustCompare(t, Options{Rules: idRules, Workers: workers, noteMemory: memory}, lines...)
			got, err := json.MarshalIndent(r, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
				if r.Trials.Differed < 300 || r.Trials.Matched < 300 {
					t.Fatalf("%+v", r.Trials)
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("with %d bytes and %d workers the report is another", memory, workers)
			}
			random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		}
	}
}

// emptyTemp makes temporary files go to a folder, and makes sure that none is left there.
func emptyTemp(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v is left behind, %v", left, err)
		}
	})
}

func TestTheFirstSecondTrialOfAnInvocationIsToldWithBothPlaces(t *testing.T) {
	emptyTemp(t)
	lines := idLines(800)
	for _, tt := range []struct {
		name  string
		at    map[int]int // line, from 1, and the one that is there again
		wrong string
	}{
		{"side by side", map[int]int{2: 1}, "run.jsonl:2: invocation i-0 has two trials (the first at "},
		{"first and last", map[int]int{800: 1}, "run.jsonl:800: invocation i-0 has two trials (the first at "},
		{"three of one", map[int]int{500: 7, 600: 7}, "run.jsonl:500: invocation i-6 has two trials (the first at "},
		{"several", map[int]int{700: 1, 650: 600, 690: 3}, "run.jsonl:650: invocation i-599 has two trials (the first at "},
	} {
		run := append([]string(nil), lines...)
		first := 0
		for again, at := range tt.at {
			run[again-1] = lines[at-1]
			if strings.Contains(tt.wrong, fmt.Sprintf(":%d:", again)) {
				first = at
			}
		}
		for _, memory := range []int{0, 1, 20_000} {
			_, err := compareLines(t, Options{Rules: idRules, Workers: 2, noteMemory: memory}, run...)
			if err == nil || !strings.Contains(err.Error(), tt.wrong) ||
				!strings.HasSuffix(err.Error(), fmt.Sprintf("run.jsonl:%d): delete one of the lines", first)) {
				t.Errorf("%s, %d bytes: %v, want %q and line %d", tt.name, memory, err, tt.wrong, first)
			}
		}
	}
	damaged := append([]string{"no trial"}, lines...)
	damaged = append(damaged, lines[41])
	_, err := compareLines(t, Options{Salvage: true}, damaged...)
	if err == nil || !strings.Contains(err.Error(), "run.jsonl:802: invocation i-41") || !strings.Contains(err.Error(), "run.jsonl:43)") {
		t.Errorf("behind a line that is no trial: %v", err)
	}
	_, err = compareLines(t, Options{}, strings.Replace(lines[0], `"function"`, `"repeat":3,"function"`, 1),
		lines[0], strings.Replace(lines[0], `"function"`, `"repeat":3,"function"`, 1))
	if err == nil || !strings.Contains(err.Error(), "run.jsonl:3: invocation i-0 3 has two trials") {
		t.Errorf("a repeat: %v", err)
	}
}

func TestNoTemporaryFileOutlivesAnErrorOrACancel(t *testing.T) {
	emptyTemp(t)
	lines := idLines(2000)
	bad := append(append([]string(nil), lines...), "no trial")
	if _, err := compareLines(t, Options{Rules: idRules, noteMemory: 1}, bad...); err == nil {
		t.Error("no error")
	}
	run := runOf(t, lines...)
	for _, after := range []int{0, 1, 500, 1999, 2000, 2500, 3999} { // 2000 and more: when the run is read again
		ctx, cancel := context.WithCancel(t.Context())
		read := 0
		source := countedRun{run, func() {
			if read++; read > after {
				cancel()
			}
		}}
		_, err := compareTrials(ctx, &source, Options{Rules: idRules, noteMemory: 1, Now: now}.withDefaults(), AgainstLambda, nil)
		cancel()
		if after < 2000 && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d lines: %v", after, err)
		}
	}
}

func TestNoPlaceForNotesIsAnErrorAndNoVerdict(t *testing.T) {
	run := runOf(t, idLines(500)...)
	t.Setenv("TMPDIR", "/nowhere/at/all")
	_, err := Run(t.Context(), run, Options{Rules: idRules, noteMemory: 1})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "temporary file") {
		t.Error(err)
	}
}

// What cannot be read of the contradictions might be one.
func TestContradictionsThatCannotBeReadAreAnError(t *testing.T) {
	notes := newRunNotes(1)
	defer notes.close()
	r := &rule{}
	for i := range 2000 {
		trial := &replay.Trial{Invocation: fmt.Sprint(i)}
		kept, _ := notes.keysOf(trial, []aliasPair{{rule: r, baseline: fmt.Sprint(i / 2), candidate: fmt.Sprint(i)}}, nil)
		if err := notes.add(uint64(i), kept); err != nil {
			t.Fatal(err)
		}
	}
	found, err := notes.contradictions(t.Context())
	if err != nil || !found.any() {
		t.Fatal(err)
	}
	found.close() // so that reading fails
	found.why(aliasPair{rule: r, baseline: "3", candidate: "7"})
	if found.err() == nil {
		t.Error("no error")
	}
}

func BenchmarkNoting(b *testing.B) {
	const n = 100_000
	rules := [2]rule{{index: 0}, {index: 1}}
	pairs, trials := make([]aliasPair, n), make([]replay.Trial, n)
	for i := range pairs {
		pairs[i] = aliasPair{rule: &rules[i%2], baseline: fmt.Sprintf("ord_%022d", i), candidate: fmt.Sprintf("new_%022d", i)}
		trials[i].Invocation = fmt.Sprintf("01JD5Q9T3W8KZ0V6M2N%07d", i)
	}
	for _, each := range []int{0, 1, 2} {
		notes := newRunNotes(0)
		space := make([]pairKeys, 0, 2)
		kept, _ := notes.keysOf(&trials[0], pairs[:each], space)
		b.Run(fmt.Sprintf("aliases=%d/in-workers", each), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				notes.keysOf(&trials[i%n], pairs[min(i%n, n-each):][:each], space)
			}
		})
		b.Run(fmt.Sprintf("aliases=%d/in-order", each), func(b *testing.B) {
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				kept.id.Hi += 0x9e3779b97f4a7c15
				for j := range kept.aliases {
					kept.aliases[j].baseline.Hi += 0x9e3779b97f4a7c15
					kept.aliases[j].candidate.Hi += 0xd1342543de82ef95
				}
				if err := notes.add(i, kept); err != nil {
					b.Fatal(err)
				}
			}
		})
		notes.close()
	}
}

// A countedRun tells of each line that is read of a run.
type countedRun struct {
	*replay.RunReader
	line func()
}

func (r *countedRun) Lines() iter.Seq2[journal.Line, error] {
	return func(yield func(journal.Line, error) bool) {
		for line, err := range r.RunReader.Lines() {
			r.line()
			if !yield(line, err) {
				return
			}
		}
	}
}
