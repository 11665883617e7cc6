package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/capture/jsonval"
	"tandem/compare"
	"tandem/replay"
)

// said is what one method says of a run.
type said struct {
	differs bool
	at      []string // where
}

// finds reports whether the answer tells of a difference at the fault's place or below it; of one that need not be exact,
// above it will do.
func (a said) finds(f *fault, exactly bool) bool {
	seen := strings.Split(f.seen, "/")
	return a.differs && slices.ContainsFunc(a.at, func(path string) bool {
		at := strings.Split(path, "/")
		if exactly && len(at) < len(seen) {
			return false
		}
		for i := range min(len(at), len(seen)) {
			if at[i] != seen[i] && at[i] != "*" && seen[i] != "*" && seen[i] != "" {
				return false
			}
		}
		return true
	})
}

// The methods.
const (
	byTandem   = "tandem"
	byDiffy    = "Diffy's"
	byEquality = "equality"
)

var methods = []string{byTandem, byDiffy, byEquality}

// ask lets all methods look at a run.
func (s *studyRun) ask(bases []base, dir string) (map[string]said, error) {
	var lines []byte
	diffy := make(diffyCounts)
	equal := true
	err := s.each(bases, func(t *firings) error {
		lines = t.appendTrial(lines)
		diffy.add(t)
		equal = equal && scrubbed(t.base, t.four[0]) == scrubbed(t.base, t.four[2])
		return nil
	})
	if err != nil {
		return nil, err
	}
	report, err := compareLines(lines, dir)
	if err != nil {
		return nil, err
	}
	found := said{differs: report.Verdict == compare.Differs}
	for _, c := range report.Clusters {
		found.at = append(append(found.at, c.Path), c.Also...)
	}
	shown := diffy.shown()
	return map[string]said{
		byTandem: found, byDiffy: {len(shown) > 0, shown}, byEquality: {!equal, []string{""}},
	}, nil
}

// studyRules are those of the sample application's config: it has fresh IDs, and tells the time.
func studyRules() []compare.Rule {
	preset, err := compare.Preset(compare.LambdaToFunctions)
	if err != nil {
		panic(err) // it is one of this module
	}
	on := []string{"create-order"}
	return append(preset,
		compare.Rule{At: "/body/orderId", Treat: compare.Alias, On: on, Why: "each call generates one"},
		compare.Rule{At: "/effects/*/body/orderId", Treat: compare.Alias, On: on, Why: "of the same order"},
		compare.Rule{At: "/**/createdAt", Treat: compare.Time, Within: "1m", On: on, Why: "the time of the call"},
	)
}

func compareLines(lines []byte, dir string) (_ *compare.Report, err error) {
	path := filepath.Join(dir, "run.jsonl")
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		return nil, err
	}
	run, err := replay.OpenRun(path, replay.RunOptions{})
	if err != nil {
		return nil, err
	}
	return compare.Run(context.Background(), run, compare.Options{
		Rules: studyRules(), Workers: 1, Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	})
}

// scrubbed is an outcome without what people know to be fresh: what they take out by hand before they compare.
func scrubbed(b *base, v jsonval.Value) string {
	text := v.String()
	if b.order == "" {
		return text
	}
	text = orderID.ReplaceAllString(text, "ord_")
	var kept strings.Builder
	for i, part := range strings.Split(text, `"createdAt":"`) {
		if _, rest, ok := strings.Cut(part, `"`); ok && i > 0 {
			part = rest
		}
		kept.WriteString(part)
	}
	return kept.String()
}

// diffyCounts are what Diffy counts of a field: the trials in which the candidate differs from the baseline there, and
// those in which the baseline differs from itself. Source: https://github.com/opendiffy/diffy, JoinedDifferences.
type diffyCounts map[diffyField]*struct{ raw, noise int }

type diffyField struct {
	function, path string // an empty path counts the trials of the function
}

func (c diffyCounts) at(function, path string) *struct{ raw, noise int } {
	f := diffyField{function, path}
	if c[f] == nil {
		c[f] = new(struct{ raw, noise int })
	}
	return c[f]
}

func (c diffyCounts) add(t *firings) {
	c.at(t.base.function, "").raw++
	raw, noise := make(map[string]bool), make(map[string]bool)
	differing("", &t.four[0], &t.four[2], raw)
	differing("", &t.four[0], &t.four[1], noise)
	for path := range raw {
		c.at(t.base.function, path).raw++
	}
	for path := range noise {
		c.at(t.base.function, path).noise++
	}
}

// shown are the fields that Diffy shows with the thresholds that it has by default: those that differ more often than
// the baseline does from itself, by more than 20 % of both together and in more than 0.03 % of all trials.
func (c diffyCounts) shown() []string {
	var paths []string
	for f, n := range c {
		if f.path == "" || n.raw <= n.noise {
			continue
		}
		more := math.Abs(float64(n.raw - n.noise))
		relative := 100 * more / float64(n.raw+n.noise)
		absolute := 100 * more / float64(c[diffyField{f.function, ""}].raw)
		if relative > 20 && absolute > .03 {
			path := strings.Replace(f.path, "/http/body", "/body", 1)
			paths = append(paths, strings.Replace(path, "/body/json", "/body", 1))
		}
	}
	slices.Sort(paths)
	return paths
}

// differing notes the paths, as reports write them, at which two values differ: as Diffy goes down objects by name and
// lists by position, and takes the elements of a list as one field.
func differing(path string, a, b *jsonval.Value, found map[string]bool) {
	switch {
	case a.Kind != b.Kind:
		found[path] = true
	case a.Kind == jsonval.Array && len(a.Elems) != len(b.Elems):
		found[path] = true
	case a.Kind == jsonval.Array:
		for i := range a.Elems {
			differing(path+"/*", &a.Elems[i], &b.Elems[i], found)
		}
	case a.Kind == jsonval.Object:
		differingMembers(path, a, b, found)
	default:
		if !jsonval.Equal(*a, *b) {
			found[path] = true
		}
	}
}

func differingMembers(path string, a, b *jsonval.Value, found map[string]bool) {
	for i, name := range a.Names {
		if other, ok := b.Get(name); ok {
			differing(path+"/"+name, &a.Elems[i], &other, found)
		} else {
			found[path+"/"+name] = true
		}
	}
	for _, name := range b.Names {
		if _, ok := a.Get(name); !ok {
			found[path+"/"+name] = true
		}
	}
}
