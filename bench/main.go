// Command bench measures tandem against what else people would use, at one server on one machine: vegeta for HTTP, and
// the AWS SDK's own client for Lambda's Invoke API; and comparing, against jd and go-cmp. `bench compare` does only that.
//
// Every contender is a process of its own, so that its CPU time and its memory are its own, and all of them are run in
// turns, several times, because what else the machine does changes from minute to minute. Only ratios within one run
// mean anything.
//
// "bench study" is about something else: what tandem finds of the faults that a port may have, and what it takes for a
// fault where there is but noise, beside two other ways to compare.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		switch job := args[0]; job {
		case "study":
			return study(args[1:])
		case "server":
			return serve()
		case "vegeta", "tandem", "sdk", "invoke", "pace":
			return contend(job, args[1:])
		case "comparing":
			return compareAs(args[1], args[2])
		case "compare":
			return compareFlags(args[1:])
		}
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	var o benchOptions
	f.IntVar(&o.requests, "requests", 200_000, "requests that each contender makes a round")
	f.IntVar(&o.inFlight, "in-flight", 16, "requests at once")
	f.IntVar(&o.rounds, "rounds", 5, "how often each contender has its turn")
	f.IntVar(&o.memory, "memory", 1_000_000, "invocations to measure tandem's memory with; 0 to leave that out")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := bench(o); err != nil {
		return err
	}
	fmt.Println()
	return compareFlags(nil)
}

// compareFlags reads the flags of `bench compare`.
func compareFlags(args []string) error {
	f := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	var o compareOptions
	f.IntVar(&o.pairs, "pairs", 100_000, "pairs that are compared a round")
	f.IntVar(&o.rounds, "rounds", 3, "how often each contender has its turn")
	f.IntVar(&o.trials, "trials", 10_000_000, "small trials to measure memory with; 0 to leave that out")
	if err := f.Parse(args); err != nil {
		return err
	}
	return benchCompare(o)
}
