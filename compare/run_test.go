package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

func trialOf(b, c string) *replay.Trial {
	trial, err := replay.ParseTrial([]byte(line("i", "f", b, c)))
	if err != nil {
		panic(err)
	}
	return trial
}

func line(id, function, b, c string) string {
	return fmt.Sprintf(`{"invocation":%q,"function":%q,"shape":"s","outcomes":{"lambda":%s,"functions":%s}}`, id, function, b, c)
}

func answer(body string) string {
	return `{"status":"ok","durationMs":5,"http":{"status":200,"body":{"json":` + body + `}}}`
}

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func compareLines(t testing.TB, opts Options, lines ...string) (*Report, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return compareAt(t, path, opts)
}

func compareAt(t testing.TB, path string, opts Options) (*Report, error) {
	t.Helper()
	run, err := replay.OpenRun(path, replay.RunOptions{Salvage: opts.Salvage})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Now.IsZero() {
		opts.Now = now
	}
	return Run(t.Context(), run, opts)
}

func mustCompare(t testing.TB, opts Options, lines ...string) *Report {
	t.Helper()
	r, err := compareLines(t, opts, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerdicts(t *testing.T) {
	same, other := line("a", "f", answer(`1`), answer(`1.0`)), line("b", "f", answer(`1`), answer(`2`))
	half := `{"invocation":"c","function":"f","outcomes":{"lambda":{"status":"ok"}}}`
	status := func(id, s string) string { return line(id, "f", `{"status":"ok"}`, `{"status":"`+s+`"}`) }
	for _, tt := range []struct {
		name, reason string
		lines        []string
		want         Verdict
		says         string
	}{
		{"parity", "all are equal", []string{same}, Parity, "none of 1 trials differs"},
		{"differs", "one differs", []string{same, other}, Differs, "1 of 2 trials differ, in 1 cluster"},
		{"unknown", "no news is no good news", []string{same, status("c", "unknown")}, Inconclusive, "functions: unknown"},
		{"throttled", "", []string{same, status("c", "throttled")}, Inconclusive, "functions: throttled"},
		{"not reached", "", []string{same, status("c", "transport_error")}, Inconclusive, "functions: transport_error"},
		{"a missing outcome", "", []string{same, half}, Inconclusive, "no outcome of functions"},
		{"differs beats unknown", "one that differs is enough", []string{other, status("c", "unknown")}, Differs, "functions: unknown"},
		{"unsendable beside others", "is told before the run", []string{same, status("c", "unreplayable")}, Parity, "1 trial could not be sent: functions: cannot be sent"},
		{"unsendable alone", "nothing was compared", []string{status("c", "unreplayable")}, Inconclusive, "no trial could be compared"},
		{"no trials", "", nil, Inconclusive, "no trial could be compared"},
		{"effects on one side", "", []string{line("a", "f", `{"status":"ok","effects":[]}`, `{"status":"ok"}`)}, Inconclusive, "watched on one side"},
	} {
		r := mustCompare(t, Options{}, tt.lines...)
		if r.Verdict != tt.want || !strings.Contains(strings.Join(r.Reasons, "\n"), tt.says) {
			t.Errorf("%s: %s (%q), want %s because %q", tt.name, r.Verdict, r.Reasons, tt.want, tt.says)
		}
		c := r.Trials
		if c.Total != int64(len(tt.lines)) || c.Total != c.Matched+c.Differed+c.Noisy+c.Inconclusive+c.Unreplayable {
			t.Errorf("%s: %+v does not add up to %d", tt.name, c, len(tt.lines))
		}
	}
}

func TestRunsThatDoNotFitAreErrors(t *testing.T) {
	same := line("a", "f", answer(`1`), answer(`1`))
	for _, tt := range []struct {
		name  string
		opts  Options
		lines []string
		wrong string
	}{
		{"two trials of one invocation", Options{}, []string{same, same}, "run.jsonl:2: invocation a has two trials (the first at"},
		{"a line that is no trial", Options{}, []string{same, "{}"}, "run.jsonl:2: not a trial"},
		{"a baseline that is not there", Options{Baseline: "lamda"}, []string{same}, "the run has outcomes of functions, lambda"},
		{"a side against itself", Options{Candidate: "lambda"}, []string{same}, `both "lambda"`},
		{"a bad rule", Options{Rules: []Rule{{At: "x", Treat: Ignore, Why: "w"}}}, []string{same}, "rule 1 (x)"},
	} {
		_, err := compareLines(t, tt.opts, tt.lines...)
		if err == nil || !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.wrong)
		}
	}
}

func TestWhatSalvageSkipsIsNotParity(t *testing.T) {
	r := mustCompare(t, Options{Salvage: true}, line("a", "f", answer(`1`), answer(`1`)), "{}")
	if r.Verdict != Inconclusive {
		t.Errorf("%s: %q", r.Verdict, r.Reasons)
	}
}

func TestARunThatWasCutOffIsNotParity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.jsonl")
	doc := line("a", "f", answer(`1`), answer(`1`)) + "\n" + line("b", "f", answer(`1`), answer(`2`))
	if err := os.WriteFile(path, []byte(doc[:len(doc)-10]), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := compareAt(t, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != Inconclusive {
		t.Errorf("%s: %q", r.Verdict, r.Reasons)
	}
}

func TestARunWithFewerTrialsThanInvocationsIsNotParity(t *testing.T) {
	for _, complete := range []bool{true, false} {
		for invocations, want := range map[int]Verdict{1: Parity, 2: Inconclusive} {
			if !complete {
				want = Inconclusive
			}
			dir := t.TempDir()
			manifest := fmt.Sprintf(`{"version":1,"id":"r","start":"2026-01-01T00:00:00Z","complete":%t,"recording":{"path":"x.rec","hash":"00","invocations":%d}}`,
				complete, invocations)
			for name, doc := range map[string]string{
				replay.ManifestName: manifest, "trials-000001.jsonl": line("a", "f", answer(`1`), answer(`1`)) + "\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(doc), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := compareAt(t, dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != want {
				t.Errorf("complete %v, %d invocations: %s, want %s: %q", complete, invocations, r.Verdict, want, r.Reasons)
			}
		}
	}
}

func TestExpiredRulesAreTold(t *testing.T) {
	r := mustCompare(t, Options{Rules: []Rule{{At: "/body", Treat: Ignore, Why: "w", Until: "2025-12-31"}}},
		line("a", "f", answer(`1`), answer(`2`)))
	if !r.Rules[0].Expired || !strings.Contains(strings.Join(r.Reasons, "\n"), "/body has expired") {
		t.Errorf("%+v, %q", r.Rules[0], r.Reasons)
	}
}

func TestRulesAreOnFunctions(t *testing.T) {
	r := mustCompare(t, Options{Rules: []Rule{{At: "/body", Treat: Ignore, Why: "w", On: []string{"f"}}}},
		line("a", "f", answer(`1`), answer(`2`)), line("b", "g", answer(`1`), answer(`2`)))
	if r.Functions["f"].Trials.Matched != 1 || r.Functions["g"].Trials.Differed != 1 {
		t.Errorf("%+v", r.Functions)
	}
}

func TestAliasesOverARun(t *testing.T) {
	rules := []Rule{{At: "/body/id", Treat: Alias, Why: "w"}}
	ids := func(pairs ...string) (lines []string) {
		for i := 0; i < len(pairs); i += 2 {
			lines = append(lines, line(fmt.Sprint(i/2), "f", answer(`{"id":"`+pairs[i]+`"}`), answer(`{"id":"`+pairs[i+1]+`"}`)))
		}
		return lines
	}
	for _, tt := range []struct {
		name   string
		lines  []string
		differ int64
		note   string
	}{
		{"fresh on both sides", ids("aaaa11", "xxxx11", "aaaa22", "xxxx22"), 0, ""},
		{"repeated on both sides", ids("aaaa11", "xxxx11", "aaaa11", "xxxx11"), 0, ""},
		{"constant in the candidate", ids("aaaa11", "xxxx11", "aaaa22", "xxxx11", "aaaa33", "xxxx11"), 3, "the candidate repeats"},
		{"constant in the baseline", ids("aaaa11", "xxxx11", "aaaa11", "xxxx22"), 2, "the baseline repeats"},
		{"constant, once equal to the baseline's", ids("aaaa11", "aaaa11", "aaaa22", "aaaa11"), 1, "the candidate repeats"},
		{"equal on both sides", ids("aaaa11", "aaaa11", "aaaa11", "aaaa11"), 0, ""},
		{"a short constant", ids("aaaa11", "0", "aaaa22", "0"), 2, "the candidate repeats"},
	} {
		r := mustCompare(t, Options{Rules: rules}, tt.lines...)
		if r.Trials.Differed != tt.differ {
			t.Errorf("%s: %d trials differ, want %d: %+v", tt.name, r.Trials.Differed, tt.differ, r.Clusters)
		}
		if tt.note != "" && (len(r.Clusters) == 0 || !strings.Contains(r.Clusters[0].Cause, tt.note)) {
			t.Errorf("%s: clusters %+v, want the cause %q", tt.name, r.Clusters, tt.note)
		}
	}
}

func TestUpperBound95(t *testing.T) {
	// One-sided bounds of Clopper and Pearson: for k = 0 it is 1 - 0.05^(1/n); the others are quantiles of Beta(k+1, n-k)
	// at 0.95, as in R's binom.test(k, n, alternative="less").
	for _, tt := range []struct {
		k, n int64
		want float64
	}{
		{0, 0, 1}, {3, 3, 1}, {0, 1, 0.95}, {0, 10, 0.2588656}, {0, 59, 0.0495076}, {0, 300, 0.0099361}, {0, 1_000_000, 2.995728e-6},
		{1, 10, 0.3941633}, {5, 100, 0.1022534},
	} {
		if got := UpperBound95(tt.k, tt.n); math.Abs(got-tt.want) > 5e-5*max(tt.want, 0.02) {
			t.Errorf("UpperBound95(%d, %d) = %.7f, want %.7f", tt.k, tt.n, got, tt.want)
		}
	}
	if got := UpperBound95(0, 1000); math.Abs(got-(1-math.Pow(0.05, 1.0/1000))) > 1e-12 {
		t.Errorf("UpperBound95(0, 1000) = %v", got)
	}
}

func TestLatencyIsOfWarmInvocationsThatRan(t *testing.T) {
	var lines []string
	for i := range 100 {
		lines = append(lines, line(fmt.Sprint("w", i), "f",
			fmt.Sprintf(`{"status":"ok","durationMs":%d}`, i+1), fmt.Sprintf(`{"status":"ok","durationMs":%d}`, 2*(i+1))))
	}
	lines = append(lines,
		line("cold", "f", `{"status":"ok","durationMs":900,"initMs":5}`, `{"status":"ok"}`),
		line("refused", "f", `{"status":"throttled","durationMs":0.1}`, `{"status":"throttled","durationMs":0.1}`),
		line("huge", "g", `{"status":"ok","durationMs":1e300}`, `{"status":"ok","durationMs":-1}`))
	r := mustCompare(t, Options{}, lines...)
	l := r.Latency["f"]
	if l.Baseline.Count != 100 || l.Baseline.Cold != 1 || math.Abs(l.Baseline.P50-50) > 0.5 || math.Abs(l.Candidate.P99-198) > 1 {
		t.Errorf("%+v", l)
	}
	if ratio := l.Ratio["p50"]; ratio[0] > 2 || ratio[1] < 2 || ratio[0] < 1 || ratio[1] > 4 {
		t.Errorf("the ratio of the medians is in %v", ratio)
	}
	if g := r.Latency["g"]; g.Baseline.P50 < 3_599_000 || g.Candidate.Count != 0 || g.Ratio == nil {
		t.Errorf("%+v", g)
	}
}

func TestNamesBeyondTheLimitAreCountedTogether(t *testing.T) {
	order := rand.New(rand.NewPCG(1, 2)).Perm(3 * maxShapes)
	var want map[string]int64
	for range 2 {
		a, b := newBounded(maxShapes), newBounded(maxShapes)
		for i, n := range order {
			[]*bounded{a, b}[i%2].see(fmt.Sprintf("%06d", n/2), 1)
		}
		a.merge(b)
		got := a.forget()
		if len(got) != maxShapes+1 || got[others] != maxShapes || got["000000"] != 2 {
			t.Fatalf("%d names, %d others", len(got), got[others])
		}
		if want == nil {
			want = got
		} else if fmt.Sprint(want) != fmt.Sprint(got) {
			t.Error("the order of trials changes which names are told")
		}
		slices.Reverse(order)
	}
}

// TestReportsDoNotDependOnWorkersOrOrder makes a run of the whole corpus, many times over, with all rules at once.
func TestReportsDoNotDependOnWorkersOrOrder(t *testing.T) {
	var lines []string
	rules, err := Preset(LambdaToFunctions)
	if err != nil {
		t.Fatal(err)
	}
	rules = append(rules, Rule{At: "/**/id", Treat: Alias, Why: "w"}, Rule{At: "/body/l", Treat: Unordered, Why: "w"})
	themes := corpus(t)
	for round := range 4 {
		for _, theme := range sortedKeys(themes) {
			for i, l := range themes[theme] {
				var text [2][]byte
				for side, o := range []*capture.Outcome{l.Baseline, l.Candidate} {
					doc, err := json.Marshal(o)
					if err != nil {
						t.Fatal(err)
					}
					text[side] = doc
				}
				lines = append(lines, line(fmt.Sprintf("%d-%s-%03d", round, filepath.Base(theme), i),
					fmt.Sprint("f", (round+i)%3), string(text[0]), string(text[1])))
			}
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	var want []byte
	for _, workers := range []int{1, 2, 7} {
		r := mustCompare(t, Options{Rules: rules, Workers: workers}, lines...)
		got, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case want == nil:
			if r.Verdict != Differs || len(r.Clusters) < 50 {
				t.Fatalf("%s with %d clusters", r.Verdict, len(r.Clusters))
			}
			for _, c := range r.Clusters {
				if c.Share > 1 || c.Trials > r.Functions[c.Function].Trials.Differed {
					t.Errorf("cluster %s %s has %d trials, %v of its function's", c.Function, c.Path, c.Trials, c.Share)
				}
			}
			want = got
		case !bytes.Equal(want, got):
			t.Errorf("with %d workers the report is another", workers)
		}
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
}

func TestRepeatsAreNoMoreInvocations(t *testing.T) {
	var lines []string
	for i := range 100 {
		lines = append(lines, strings.Replace(line("a", "f", answer("1"), answer("1")), `"invocation"`,
			fmt.Sprintf(`"repeat":%d,"invocation"`, i), 1))
	}
	r := mustCompare(t, Options{}, lines...)
	if want := UpperBound95(0, 1); r.Verdict != Parity || r.MismatchUpperBound95 != want || r.Functions["f"].MismatchUpperBound95 != want {
		t.Errorf("%s: %v and %v, want %v", r.Verdict, r.MismatchUpperBound95, r.Functions["f"].MismatchUpperBound95, want)
	}
}

// Lines go through the memory of lines before them.
func TestALineThatIsNoTrialIsToldByItsNumberInALongRun(t *testing.T) {
	ok := `{"status":"ok"}`
	lines := make([]string, 20*batchSize)
	for i := range lines {
		lines[i] = line(fmt.Sprint(i), "f", ok, ok)
	}
	_, err := compareLines(t, Options{Workers: 1}, append(lines, "{}")...)
	if want := fmt.Sprintf("run.jsonl:%d: not a trial", len(lines)+1); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
}
