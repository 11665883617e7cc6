package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// What comparing is wanted to be.
const (
	timesJD    = 5    // pairs a second, against jd
	timesCmp   = 20   // against decoding into any and go-cmp
	equalGB    = 1.0  // GB a second where both sides are equal
	timesCores = 1.7  // with two workers, against one
	flatMemory = 1.25 // of a run that is ten times as long
)

// compareOptions say how long [benchCompare] measures.
type compareOptions struct {
	pairs, rounds, trials int
}

// benchCompare measures comparing: one thread, on pairs of answers of 2 KB that differ only in fields that rules
// cover; on pairs that are equal; with two workers; and its memory.
func benchCompare(o compareOptions) error {
	dir, err := os.MkdirTemp("", "bench-compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	large := max(o.pairs/20, 1)
	for name, run := range map[string]struct {
		trials int
		line   func(i int) string
	}{
		"ruled.jsonl": {o.pairs, ruledTrial},
		"equal.jsonl": {o.pairs, func(i int) string { return equalTrial(i, 8) }},
		"large.jsonl": {large, func(i int) string { return equalTrial(i, 320) }},
	} {
		if err := writeLines(filepath.Join(dir, name), run.trials, run.line); err != nil {
			return err
		}
	}
	fmt.Printf("Comparing %d pairs of answers of %d bytes in one thread, %d rounds in turns, by CPU time\n\n",
		o.pairs, len(order2K(0, "functions")), o.rounds)
	found := make(map[string][]float64)
	for range o.rounds {
		for _, turn := range []struct {
			name, run string
			cores     int
		}{
			{"tandem", "ruled.jsonl", 1}, {"jd", "ruled.jsonl", 1}, {"go-cmp", "ruled.jsonl", 1},
			{"equal", "equal.jsonl", 1}, {"large", "large.jsonl", 1}, {"two", "ruled.jsonl", 2},
		} {
			m, err := compareOne(filepath.Join(dir, turn.run), turn.name, turn.cores)
			if err != nil {
				return fmt.Errorf("%s: %w", turn.name, err)
			}
			switch turn.name {
			case "equal", "large":
				found[turn.name] = append(found[turn.name], float64(m.Bytes)/1e9/m.CPU)
			case "two":
				found["two"] = append(found["two"], float64(m.Pairs)/m.Seconds)
			default:
				found[turn.name] = append(found[turn.name], float64(m.Pairs)/m.CPU)
				found[turn.name+" wall"] = append(found[turn.name+" wall"], float64(m.Pairs)/m.Seconds)
			}
		}
	}
	tandem := found["tandem"]
	fmt.Printf("%-42s %12s\n", "median of the rounds", "pairs/s")
	fmt.Printf("%-42s %12.0f\n", "tandem: a run read and reported", middle(tandem))
	fmt.Printf("%-42s %12.0f\n", "jd: read and Diff, from memory", middle(found["jd"]))
	fmt.Printf("%-42s %12.0f\n\n", "encoding/json into any, and cmp.Equal", middle(found["go-cmp"]))
	wanted("tandem/jd", roundByRound(tandem, found["jd"]), timesJD)
	wanted("tandem/go-cmp", roundByRound(tandem, found["go-cmp"]), timesCmp)
	wanted("equal answers of 2 KB, GB/s of both", found["equal"], equalGB)
	wanted("equal answers of 76 KB, GB/s of both", found["large"], equalGB)
	wanted("two workers/one, by the clock", roundByRound(found["two"], found["tandem wall"]), timesCores)
	if o.trials == 0 {
		return nil
	}
	return compareMemory(dir, o.trials)
}

// compareMemory measures the memory for a run and for one of a tenth of its length.
func compareMemory(dir string, trials int) error {
	var peaks []int64
	for _, n := range []int{trials / 10, trials} {
		run := filepath.Join(dir, fmt.Sprint(n))
		if err := writeRun(run, n, smallTrial); err != nil {
			return err
		}
		m, err := compareOne(run, "memory", 2)
		if err != nil {
			return fmt.Errorf("memory: %w", err)
		}
		peaks = append(peaks, m.Peak)
		fmt.Printf("%d trials: peak %d MiB, %.0f trials/s\n", n, m.Peak>>20, float64(m.Pairs)/m.Seconds)
		if err := os.RemoveAll(run); err != nil {
			return err
		}
	}
	ratio := float64(peaks[1]) / float64(peaks[0])
	fmt.Printf("ten times the trials take %.2f times the memory; wanted: at most %.2f (%s)\n", ratio, flatMemory,
		metOrMissed(ratio <= flatMemory))
	return nil
}

// wanted prints the median of some measures, and whether it is what is wanted.
func wanted(name string, rounds []float64, least float64) {
	text := fmt.Sprintf("%.2f (%.2f to %.2f)", middle(rounds), slices.Min(rounds), slices.Max(rounds))
	fmt.Printf("%-38s %-24s wanted: %g (%s)\n", name, text, least, metOrMissed(middle(rounds) >= least))
}

func metOrMissed(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

// times compares round by round, because in one round the machine was about the same for both.
func roundByRound(ours, theirs []float64) []float64 {
	list := make([]float64, len(ours))
	for i := range ours {
		list[i] = ours[i] / theirs[i]
	}
	return list
}

func middle(rounds []float64) float64 {
	sorted := slices.Sorted(slices.Values(rounds))
	return sorted[len(sorted)/2]
}

// compareOne gives one contender its turn, in a process of its own.
func compareOne(run, name string, cores int) (*comparing, error) {
	cmd := exec.Command(os.Args[0], "comparing", name, run)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cores))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	m := new(comparing)
	return m, json.Unmarshal(out, m)
}
