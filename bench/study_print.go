package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// print writes the figures, 80 columns wide.
func (f *figures) print(w io.Writer, verbose bool) {
	fmt.Fprintf(w, "%d faults of the sample application, runs of %d calibrated trials\n", f.Faults, f.Trials)
	if f.faulty() > 0 {
		f.printFound(w)
	}
	if len(f.cleanRuns) > 0 {
		f.printAlarms(w)
	}
	if n := f.faulty(); n > 0 {
		fmt.Fprintf(w, "\ntandem has missed %d of %d\n", len(f.Missed), n)
	}
	if !verbose {
		return
	}
	for _, a := range f.False {
		fmt.Fprintf(w, "  %g %% noise, %s %s, seed %d: %q\n", 100*a.Noise, a.Kind, a.Field, a.Seed, a.At)
	}
	for _, m := range f.Missed {
		fmt.Fprintf(w, "  %-40s %5s, %g %% noise %-8s differs %t seed %d\n", m.Fault, hitsOf(m.Hits), 100*m.Noise, m.Kind, m.Differs, m.Seed)
	}
}

// width is that of a level's column: without noise there is none in the field of a fault.
func width(level float64) int {
	if level == 0 {
		return 10
	}
	return 15
}

// printLevels prints a table's first line.
func (f *figures) printLevels(w io.Writer, of string) {
	fmt.Fprintf(w, "\n%-19s", of)
	for _, level := range f.opts.levels {
		fmt.Fprintf(w, " %*s", width(level), fmt.Sprintf("%g %% noise", 100*level))
	}
}

func (f *figures) printFound(w io.Writer) {
	f.printLevels(w, "% of faults found")
	fmt.Fprintf(w, "\n%-19s", "in the field itself")
	for _, level := range f.opts.levels {
		if level == 0 {
			fmt.Fprintf(w, " %10s", "")
		} else {
			fmt.Fprintf(w, " %7s %7s", "no", "yes")
		}
	}
	for _, method := range methods {
		fmt.Fprintf(w, "\n")
		for _, share := range f.opts.shares {
			fmt.Fprintf(w, "%-9s %8s ", method, hitsOf(share))
			for _, level := range f.opts.levels {
				if level == 0 {
					fmt.Fprintf(w, " %10s", f.share(cell{method, share, level, false}))
				} else {
					fmt.Fprintf(w, " %7s %7s", f.share(cell{method, share, level, false}), f.share(cell{method, share, level, true}))
				}
			}
			fmt.Fprintln(w)
		}
	}
}

// printAlarms tells how often each method saw a difference where there was none.
func (f *figures) printAlarms(w io.Writer) {
	f.printLevels(w, "false alarms")
	fmt.Fprintln(w)
	for _, c := range f.Clean {
		of := fmt.Sprintf("%d of %d", c.Alarms, c.Runs)
		switch {
		case c.Noise == nil:
			fmt.Fprintf(w, "\n%10s all levels: %s, so up to %.2g %% (95 %% confidence)\n", "", of, 100*c.Upper95)
		case *c.Noise == f.opts.levels[0]:
			fmt.Fprintf(w, "%-19s", c.Method)
			fallthrough
		default:
			fmt.Fprintf(w, " %*s", width(*c.Noise), of)
		}
	}
}

// faulty is how many runs had a fault.
func (f *figures) faulty() (n int) {
	for _, c := range f.Cells {
		if c.Method == byTandem {
			n += c.Runs
		}
	}
	return n
}

func hitsOf(share float64) string {
	if share == 1 {
		return "all hit"
	}
	return fmt.Sprintf("%g %% hit", 100*share)
}

func (f *figures) share(c cell) string {
	n := f.counts[c]
	if n.Runs == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100*float64(n.Found)/float64(n.Runs))
}

func (f *figures) sort() {
	slices.SortFunc(f.False, func(a, b alarm) int { return cmp.Compare(a.Seed, b.Seed) })
	slices.SortFunc(f.Missed, func(a, b miss) int {
		return cmp.Or(cmp.Compare(a.Noise, b.Noise), cmp.Compare(a.Hits, b.Hits), cmp.Compare(a.Seed, b.Seed))
	})
}
