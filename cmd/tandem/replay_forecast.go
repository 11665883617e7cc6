package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/config"
	"tandem/replay"
)

// forecast prints what a replay would do, and does nothing.
func (a *app) forecast(ctx context.Context, opts replay.Options, asJSON bool) error {
	f, err := replay.Foresee(ctx, opts)
	if err != nil {
		return err
	}
	for _, notice := range opts.Recording.Notices() {
		a.say("%s", notice)
	}
	show := printForecast
	if asJSON {
		show = func(w io.Writer, f *replay.Forecast) error { return printJSON(w, f) }
	}
	if err := show(a.stdout, f); err != nil || len(f.Refused) == 0 {
		return err
	}
	return fmt.Errorf("nothing would be fired: %s", strings.Join(f.Refused, "\n"))
}

// tellOneNamed says which stores both sides would share if the side that they have no name for uses them, too. Nothing
// in a config tells whether it does.
func (a *app) tellOneNamed(cfg *config.Config) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Resources)) {
		switch r := cfg.Resources[name]; {
		case r.Azure == "":
			a.say("resource %s has no azure name: if the Functions app writes to %s, too, both sides share it", name, r.AWS)
		case r.AWS == "":
			a.say("resource %s has no aws name: if the Lambda function writes to %s, too, both sides share it", name, r.Azure)
		}
	}
}

func printForecast(w io.Writer, f *replay.Forecast) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, nothing was sent\n%s", fit(f.Recording.Path, 50), count(f.Invocations, "invocation"))
	if f.LeftOut > 0 {
		fmt.Fprintf(&b, " less %d left out", f.LeftOut)
	}
	if f.Plan.Repeat > 1 {
		fmt.Fprintf(&b, ", each %d times", f.Plan.Repeat)
	}
	if f.WarmedUp > 0 {
		fmt.Fprintf(&b, ", %d to warm up", f.WarmedUp)
	}
	fmt.Fprintf(&b, ": %s\n", count(f.Trials, "trial"))
	if f.WarmUpMS > 0 {
		fmt.Fprintf(&b, "less those of the first %v, which warm up\n", milliseconds(f.WarmUpMS))
	}
	fmt.Fprintf(&b, "%s of events, %s", size(f.EventBytes), count(f.Lanes, "lane"))
	if f.Lanes > 0 {
		fmt.Fprintf(&b, ", the longest of %s", count(f.LongestLane, "invocation"))
	}
	fmt.Fprintf(&b, "\n%s\n", schedule(f))
	for _, function := range f.Functions {
		printFunction(&b, function, f.InFlight)
	}
	_, err := b.WriteTo(w)
	return err
}

// schedule says when invocations would be fired.
func schedule(f *replay.Forecast) string {
	var when []string
	if f.Pace.Speed > 0 {
		when = append(when, fmt.Sprintf("%vx as fast as recorded", f.Pace.Speed))
	}
	if f.Pace.CutMS > 0 {
		when = append(when, fmt.Sprintf("%v of silence cut", milliseconds(f.Pace.CutMS)))
	}
	if f.Pace.Rate > 0 {
		when = append(when, fmt.Sprintf("%v a second", f.Pace.Rate))
	}
	if f.Pace.MaxRate > 0 {
		when = append(when, fmt.Sprintf("at most %v a second", f.Pace.MaxRate))
	}
	if when == nil {
		return fmt.Sprintf("as fast as targets answer, %d at once", f.InFlight)
	}
	return fmt.Sprintf("%s, %d at once; the last is due after %v", strings.Join(when, ", "), f.InFlight,
		milliseconds(f.DurationMS))
}

func printFunction(w io.Writer, f replay.FunctionForecast, inFlight int) {
	if f.Selected == 0 {
		fmt.Fprintf(w, "\n%s: nothing\n", fit(f.Function, 60))
		return
	}
	fmt.Fprintf(w, "\n%s: %d of %s fired, %s\n", fit(f.Function, 40), f.Fired, count(f.Selected, "invocation"),
		size(f.EventBytes))
	if len(f.Targets) == 0 {
		fmt.Fprintf(w, "  %d not: the config has no targets for it\n", f.NotFired)
	}
	for _, t := range f.Targets {
		fmt.Fprintf(w, "  %s: %s\n    %s\n", t.Name, fit(t.Address, 64), terms(t, inFlight))
		for _, rule := range t.Rewrite {
			fmt.Fprintf(w, "    rewritten: %s, %s, %s\n", fit(rule.At, 48), rule.How, count(rule.Values, "value"))
			if rule.Unsigned > 0 {
				fmt.Fprintf(w, "      %s as recorded, which cannot be signed anew\n", count(rule.Unsigned, "value"))
			}
		}
		for _, reason := range slices.Sorted(maps.Keys(t.Cannot)) {
			fmt.Fprintf(w, "    %d cannot be sent:\n      %s\n", t.Cannot[reason], fit(reason, 74))
		}
		if t.Withheld > 0 {
			fmt.Fprintf(w, "    %d not sent, because another target cannot be\n", t.Withheld)
		}
	}
}

// terms says how a target is fired at.
func terms(t replay.TargetForecast, inFlight int) string {
	s := count(t.Sent, "request")
	if t.Environment != "" {
		s = string(t.Environment) + ", " + s
	}
	if t.Kind != "" {
		s = t.Kind + ", " + s
	}
	if t.InFlight > 0 {
		inFlight = min(inFlight, t.InFlight)
	}
	s += fmt.Sprintf(", %d at once", inFlight)
	if t.RetrySafe {
		s += ", may run twice"
	}
	return s
}

func milliseconds(ms float64) time.Duration {
	return time.Duration(ms * float64(time.Millisecond)).Round(time.Millisecond)
}

// size says a number of bytes.
func size(n int64) string {
	for i, name := range []string{"GiB", "MiB", "KiB"} {
		if least := int64(1) << (10 * (3 - i)); n >= least {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(least), name)
		}
	}
	return count(n, "byte")
}
