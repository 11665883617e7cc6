package distill_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/distill"
)

// record writes a recording with these invocations and returns it as a source.
func record(t *testing.T, invs ...*capture.Invocation) distill.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.jsonl")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, invs...)
	return open(t, path)
}

func write(t *testing.T, w *capture.Writer, invs ...*capture.Invocation) {
	t.Helper()
	for _, inv := range invs {
		if err := w.Write(inv); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) distill.Source {
	t.Helper()
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close() })
	return distill.Source{Name: path, Recording: rec}
}

// run distills sources into as many new recordings as opts say, and returns what is in each of these.
func run(t *testing.T, opts distill.Options, sources ...distill.Source) (*distill.Report, [][]*capture.Invocation) {
	t.Helper()
	plan, err := distill.Scan(t.Context(), sources, opts)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var to []distill.Part
	var writers []*capture.Writer
	for i := range max(opts.Parts, 1) {
		path := filepath.Join(dir, fmt.Sprintf("part-%d.jsonl", i))
		w, err := capture.Create(path, capture.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
		to = append(to, distill.Part{Name: path, Sink: w})
	}
	report, err := plan.Write(t.Context(), to)
	for _, w := range writers {
		if cerr := w.Close(); cerr != nil {
			t.Fatal(cerr)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var parts [][]*capture.Invocation
	for _, part := range to {
		parts = append(parts, all(t, open(t, part.Name)))
	}
	return report, parts
}

func all(t *testing.T, source distill.Source) (invs []*capture.Invocation) {
	t.Helper()
	for inv, err := range source.Recording.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		invs = append(invs, inv)
	}
	return invs
}

func ids(invs []*capture.Invocation) []string {
	names := []string{}
	for _, inv := range invs {
		names = append(names, inv.ID)
	}
	return names
}

func invocation(id, function, event string, out *capture.Outcome) *capture.Invocation {
	trigger, format := capture.Detect([]byte(event))
	return &capture.Invocation{
		ID: id, Function: function, Trigger: trigger, Format: format, Event: []byte(event), Outcome: out,
	}
}

func TestOutcomesAreToldApartByHowTheyEnded(t *testing.T) {
	answer := func(status int, body string) *capture.Outcome {
		return &capture.Outcome{Status: capture.StatusOK, HTTP: capture.NewHTTPAnswer(status, nil, []byte(body))}
	}
	batch := func(fates ...capture.Fate) *capture.Outcome {
		out := &capture.Outcome{Status: capture.StatusOK, Records: map[string]capture.Fate{}}
		for i, fate := range fates {
			out.Records[fmt.Sprint("m-", i)] = fate
		}
		return out
	}
	failed := func(kind, message string) *capture.Outcome {
		return &capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Type: kind, Message: message}}
	}
	for _, test := range []struct {
		name string
		out  *capture.Outcome
		want string
	}{
		{"not recorded", nil, "unknown"},
		{"recorded as not known", &capture.Outcome{Status: capture.StatusUnknown}, "unknown"},
		{"an answer, whatever its body", answer(201, "a"), "ok 201"},
		{"another answer", answer(404, ""), "ok 404"},
		{"all messages, however many", batch(capture.Acked, capture.Acked), "ok acked"},
		{"some messages, however many", batch(capture.Retried, capture.Acked, capture.Retried), "ok acked+retried"},
		{"a batch that is empty", batch(), "ok"},
		{"a failure, whatever its message", failed("ValueError", "1 is bad"), "function_error ValueError"},
		{"a failure that names no type", failed("", "1 is bad"), "function_error"},
		{"a time-out", &capture.Outcome{Status: capture.StatusTimeout}, "timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := distill.OutcomeClassOf(test.out).String(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// traffic makes n invocations of a few functions, shapes and outcomes, of which some are rare.
func traffic(r *rand.Rand, n int) []*capture.Invocation {
	outcomes := []*capture.Outcome{
		nil, {Status: capture.StatusOK}, {Status: capture.StatusTimeout},
		{Status: capture.StatusFunctionError, Error: &capture.Error{Type: "E"}},
	}
	var invs []*capture.Invocation
	for i := range n {
		event := fmt.Sprintf(`{"field%d":%q}`, r.IntN(r.IntN(4)+1), strings.Repeat("x", r.IntN(5)))
		inv := invocation(fmt.Sprint("i-", i), fmt.Sprint("f-", r.IntN(3)), event, outcomes[r.IntN(r.IntN(4)+1)])
		inv.Time = time.Date(2026, 1, 2, 3, 0, i, 0, time.UTC)
		invs = append(invs, inv)
	}
	return invs
}

func TestEveryClassIsKeptByItsSmallestEventAndTheCountsAddUp(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		invs := traffic(r, 1+r.IntN(200))
		opts := distill.Options{PerClass: 1 + r.IntN(3), Seed: seed}
		if r.IntN(2) == 0 {
			opts.Select.Functions = []string{invs[0].Function}
		}
		half := len(invs) / 2
		report, parts := run(t, opts, record(t, invs[:half]...), record(t, invs[half:]...))
		kept := parts[0]

		// The obvious way: all members of each class, and how large they are.
		sizes := map[distill.Class][]int{}
		var notSelected int64
		for _, inv := range invs {
			if opts.Select.Has(inv) {
				class := distill.ClassOf(inv)
				sizes[class] = append(sizes[class], len(inv.Event))
			} else {
				notSelected++
			}
		}
		want := map[distill.Class][]int{}
		for class, all := range sizes {
			slices.Sort(all)
			want[class] = all[:min(opts.PerClass, len(all))]
		}
		got := map[distill.Class][]int{}
		for _, inv := range kept {
			class := distill.ClassOf(inv)
			got[class] = append(got[class], len(inv.Event))
		}
		for class := range got {
			slices.Sort(got[class])
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("seed %d: kept sizes %v, want %v", seed, got, want)
		}

		order := slices.DeleteFunc(ids(invs), func(id string) bool { return !slices.Contains(ids(kept), id) })
		if diff := cmp.Diff(order, ids(kept)); diff != "" {
			t.Errorf("seed %d: not in the order of the recordings:\n%s", seed, diff)
		}
		checkSums(t, report, len(invs), notSelected)
		stands := map[distill.Class]int64{}
		for i, k := range report.Invocations {
			stands[k.Class] += k.Count
			if k.ID != kept[i].ID || k.Class != distill.ClassOf(kept[i]) || k.Bytes != len(kept[i].Event) {
				t.Errorf("seed %d: reported %+v of %s", seed, k, kept[i].Event)
			}
		}
		for class, all := range sizes {
			if stands[class] != int64(len(all)) {
				t.Errorf("seed %d: %d of %v are stood for, and there are %d", seed, stands[class], class, len(all))
			}
		}
	}
}

func checkSums(t *testing.T, r *distill.Report, read int, notSelected int64) {
	t.Helper()
	var written int64
	for _, part := range r.Written {
		written += part.Invocations
	}
	sum := r.Kept + r.Represented + r.NotSelected
	if r.Read != int64(read) || r.Read != sum || r.NotSelected != notSelected || written != r.Kept {
		t.Errorf("it does not add up, for %d read, of which %d not selected: %+v", read, notSelected, r)
	}
}

func TestTheSeedAloneDecidesBetweenEventsOfOneSize(t *testing.T) {
	var invs []*capture.Invocation
	for i := range 100 {
		invs = append(invs, invocation(fmt.Sprint("i-", i), "f", fmt.Sprintf(`{"a":%d}`, i%10), nil))
	}
	source := record(t, invs...)
	kept := func(seed uint64) string {
		_, parts := run(t, distill.Options{Seed: seed}, source)
		return strings.Join(ids(parts[0]), " ")
	}
	seen := map[string]bool{}
	for seed := range uint64(10) {
		first := kept(seed)
		if again := kept(seed); again != first {
			t.Errorf("seed %d keeps %s, then %s", seed, first, again)
		}
		seen[first] = true
	}
	if len(seen) < 3 {
		t.Errorf("ten seeds keep only %v", slices.Collect(maps.Keys(seen)))
	}
}

func TestSelection(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ok := &capture.Outcome{Status: capture.StatusOK}
	base := capture.Invocation{
		ID: "i", Function: "f", Trigger: capture.TriggerHTTP, Format: capture.FormatAPIGatewayV2, Time: at, Outcome: ok,
	}
	for _, test := range []struct {
		name string
		s    distill.Selection
		edit func(*capture.Invocation)
		want bool
	}{
		{"nothing is asked", distill.Selection{}, nil, true},
		{"its function", distill.Selection{Functions: []string{"g", "f"}}, nil, true},
		{"another function", distill.Selection{Functions: []string{"g"}}, nil, false},
		{"its trigger", distill.Selection{Triggers: []capture.Trigger{"http"}}, nil, true},
		{"another trigger", distill.Selection{Triggers: []capture.Trigger{"sqs", "s3"}}, nil, false},
		{"its format", distill.Selection{Formats: []capture.Format{"apigw-v1", "apigw-v2"}}, nil, true},
		{"another format", distill.Selection{Formats: []capture.Format{"sqs"}}, nil, false},
		{"its ID", distill.Selection{IDs: []string{"other", "i"}}, nil, true},
		{"another ID", distill.Selection{IDs: []string{"other"}}, nil, false},
		{"its status", distill.Selection{Statuses: []capture.Status{"ok"}}, nil, true},
		{"another status", distill.Selection{Statuses: []capture.Status{"timeout"}}, nil, false},
		{
			"no outcome is an unknown one", distill.Selection{Statuses: []capture.Status{"unknown"}},
			func(inv *capture.Invocation) { inv.Outcome = nil }, true,
		},
		{
			"no outcome is not ok", distill.Selection{Statuses: []capture.Status{"ok"}},
			func(inv *capture.Invocation) { inv.Outcome = nil }, false,
		},
		{"from is within", distill.Selection{From: at}, nil, true},
		{"from is later", distill.Selection{From: at.Add(1)}, nil, false},
		{"to is without", distill.Selection{To: at}, nil, false},
		{"to is later", distill.Selection{To: at.Add(1)}, nil, true},
		{
			"no time is in no window", distill.Selection{To: at.Add(1)},
			func(inv *capture.Invocation) { inv.Time = time.Time{} }, false,
		},
		{
			"all conditions hold",
			distill.Selection{Functions: []string{"f"}, Statuses: []capture.Status{"ok"}, From: at}, nil, true,
		},
		{"one does not", distill.Selection{Functions: []string{"f"}, Statuses: []capture.Status{"ok"}, To: at}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			inv := base
			if test.edit != nil {
				test.edit(&inv)
			}
			if got := test.s.Has(&inv); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestAllThatIsSelectedIsKeptAsItWas(t *testing.T) {
	invs := traffic(rand.New(rand.NewPCG(1, 2)), 100)
	invs[7].Event = []byte("{ \"a\":1.0,\n\"a\":\"\\u00e9\" }")
	opts := distill.Options{All: true, Select: distill.Selection{From: invs[5].Time, To: invs[95].Time}}
	report, parts := run(t, opts, record(t, invs...))
	if diff := cmp.Diff(invs[5:95], parts[0]); diff != "" {
		t.Error(diff)
	}
	checkSums(t, report, 100, 10)
	if report.Represented != 0 || report.Classes != 0 || report.Invocations != nil {
		t.Errorf("it reports classes: %+v", report)
	}
}

func TestWhatCannotBeKept(t *testing.T) {
	rec := record(t, invocation("i-1", "f", `{"a":1}`, nil), invocation("i-2", "g", `{"a":1}`, nil))
	again := record(t, invocation("i-2", "g", `{"a":22}`, nil))
	within := record(t, invocation("i-1", "f", `{}`, nil), invocation("i-1", "f", `{"a":1}`, nil))
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, test := range []struct {
		name    string
		ctx     context.Context
		sources []distill.Source
		opts    distill.Options
		want    string
	}{
		{
			"one ID in two recordings", t.Context(), []distill.Source{rec, again}, distill.Options{},
			"invocation i-2 is in " + rec.Name + " and in " + again.Name + ": --prefix-ids tells them apart",
		},
		{
			"one ID twice in a recording", t.Context(), []distill.Source{within}, distill.Options{},
			":2: invocation i-1 appears twice (first at ",
		},
		{
			"one ID twice in a recording, and a prefix", t.Context(), []distill.Source{rec, within},
			distill.Options{PrefixIDs: true}, ":2: invocation i-1 appears twice (first at ",
		},
		{
			"a function that is not there", t.Context(), []distill.Source{rec},
			distill.Options{Select: distill.Selection{Functions: []string{"f", "typo"}}},
			`no invocation is of function "typo", but of: f, g`,
		},
		{
			"nothing is selected", t.Context(), []distill.Source{rec},
			distill.Options{Select: distill.Selection{Statuses: []capture.Status{"timeout"}}},
			"there is nothing to keep: none of 2 invocations is selected",
		},
		{"parts without lanes", t.Context(), []distill.Source{rec}, distill.Options{Parts: 2}, "without knowing lanes"},
		{"it is stopped", stopped, []distill.Source{rec}, distill.Options{}, "context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := distill.Scan(test.ctx, test.sources, test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	t.Run("one ID in two recordings, of which one is selected", func(t *testing.T) {
		_, parts := run(t, distill.Options{Select: distill.Selection{Functions: []string{"f"}}}, rec, again)
		if got := ids(parts[0]); !slices.Equal(got, []string{"i-1"}) {
			t.Errorf("kept %v", got)
		}
	})
}

func TestPrefixesTellRecordingsApart(t *testing.T) {
	one := record(t, invocation("i-1", "f", `{"a":1}`, nil), invocation("i-2", "g", `{"a":1}`, nil))
	two := record(t, invocation("i-2", "g", `{"b":22}`, nil))
	report, parts := run(t, distill.Options{PrefixIDs: true}, one, two)
	want := []string{"1-i-1", "1-i-2", "2-i-2"}
	if got := ids(parts[0]); !slices.Equal(got, want) {
		t.Errorf("wrote %v, want %v", got, want)
	}
	for i, k := range report.Invocations {
		source := one
		if i == 2 {
			source = two
		}
		if k.ID != want[i] || k.Recording != source.Name {
			t.Errorf("reported %+v, want %s of %s", k, want[i], source.Name)
		}
	}
}

func TestARecordingThatChangesBetweenThePassesIsTold(t *testing.T) {
	line := func(id string) string { return fmt.Sprintf(`{"id":%q,"function":"f","event":{}}`+"\n", id) }
	for _, test := range []struct {
		name string
		all  bool
		then string
	}{
		{"it grows, and all is kept", true, line("i-1") + line("i-2")},
		{"it grows", false, line("i-1") + line("i-2")},
		{"it shrinks", false, ""},
		{"it is another one", false, line("i-2")},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "live.jsonl")
			replace := func(text string) {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			replace(line("i-1"))
			plan, err := distill.Scan(t.Context(), []distill.Source{open(t, path)}, distill.Options{All: test.all})
			if err != nil {
				t.Fatal(err)
			}
			replace(test.then)
			_, err = plan.Write(t.Context(), []distill.Part{{Sink: discard{}}})
			if err == nil || !strings.Contains(err.Error(), path+" has changed while it was read") {
				t.Error(err)
			}
		})
	}
}

func TestWriteStopsWithItsContextAndItsSink(t *testing.T) {
	source := record(t, invocation("i-1", "f", `{}`, nil))
	plan, err := distill.Scan(t.Context(), []distill.Source{source}, distill.Options{})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if _, err := plan.Write(t.Context(), []distill.Part{{Sink: discard{full}}}); !errors.Is(err, full) {
		t.Errorf("the sink fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := plan.Write(ctx, []distill.Part{{Sink: discard{}}}); !errors.Is(err, context.Canceled) {
		t.Errorf("the context has ended: %v", err)
	}
}
