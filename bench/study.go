package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/compare"
)

type studyOptions struct {
	trials, cleanRuns int
	levels            []float64 // of noise
	shares            []float64 // of trials that a fault hits
	everyNoise        bool      // a fault's field is given every kind of noise that it can have, not one in turn
	faults            []fault
	seed              uint64
	limit             time.Duration // after which no further run is begun; 0 for none
	verbose           bool
	cleanOnly         bool
	only              uint64 // the seed of the one run that is made; 0 for all
}

func study(args []string) error {
	f := flag.NewFlagSet("study", flag.ContinueOnError)
	o := studyOptions{levels: []float64{0, .05, .2, .6}, shares: []float64{.02, .05, .2, 1}, faults: faults()}
	f.IntVar(&o.trials, "trials", 1000, "of a run")
	f.IntVar(&o.cleanRuns, "clean-runs", 1000, "runs without a fault")
	f.BoolVar(&o.everyNoise, "every-noise", false, "give the field of a fault each kind of noise that it can have")
	f.Uint64Var(&o.seed, "seed", 1, "of all that is drawn")
	f.DurationVar(&o.limit, "for", 0, "begin no further run after this time, and print the figures of those that were")
	f.BoolVar(&o.verbose, "v", false, "tell every fault that is missed")
	f.BoolVar(&o.cleanOnly, "clean", false, "no runs with a fault: false alarms alone")
	f.Uint64Var(&o.only, "run", 0, "nothing but the run with this `seed`, which -v tells; the other flags as they were")
	only := f.String("faults", "", "those whose names match the regular `expression`")
	percentages(f, "noise", "levels of noise, in percent", &o.levels)
	percentages(f, "hits", "shares of trials that have the fault, in percent", &o.shares)
	asJSON := f.Bool("json", false, "print the figures as one JSON document")
	if err := f.Parse(args); err != nil {
		return err
	}
	expression, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	o.faults = slices.DeleteFunc(o.faults, func(one fault) bool { return !expression.MatchString(one.name) })
	if len(o.faults) == 0 {
		return fmt.Errorf("no fault is called %q", *only)
	}
	figures, err := o.run()
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(os.Stdout).Encode(figures)
	}
	figures.print(os.Stdout, o.verbose)
	return nil
}

// percentages is a flag with numbers separated by commas.
func percentages(f *flag.FlagSet, name, usage string, to *[]float64) {
	f.Func(name, usage, func(text string) error {
		*to = nil
		if text == "" {
			return nil
		}
		for one := range strings.SplitSeq(text, ",") {
			n, err := strconv.ParseFloat(one, 64)
			if err != nil || n < 0 || n > 100 {
				return fmt.Errorf("%q is not from 0 to 100", one)
			}
			*to = append(*to, n/100)
		}
		return nil
	})
}

// A cell has the runs of one kind: what share of trials has a fault, how much noise there is, and where.
type cell struct {
	Method string  `json:"method"`
	Hits   float64 `json:"hits"`
	Noise  float64 `json:"noise"`
	// Own says that the field of the fault is noisy, too.
	Own bool `json:"own"`
}

type count struct {
	Found int `json:"found"`
	Runs  int `json:"runs"`
}

// A miss is a run whose fault was not found.
type miss struct {
	cell
	Fault string    `json:"fault"`
	Kind  noiseKind `json:"kind,omitempty"` // of the noise of its field
	Seed  uint64    `json:"seed"`
	// Differs says that the verdict was right, for another reason.
	Differs bool `json:"differs"`
}

// An alarm is a run without a fault in which tandem sees one.
type alarm struct {
	Noise float64   `json:"noise"`
	Field string    `json:"field,omitempty"` // that is noisy besides those that always are
	Kind  noiseKind `json:"kind,omitempty"`
	Seed  uint64    `json:"seed"`
	At    []string  `json:"at"`
}

// figures are what a study finds.
type figures struct {
	Trials    int            `json:"trials"`
	Faults    int            `json:"faults"`
	Cells     []cellCount    `json:"cells"`
	Missed    []miss         `json:"missed"` // by tandem
	False     []alarm        `json:"false"`  // of tandem
	Clean     []cleanCount   `json:"clean"`  // by method, and by method and level of noise
	counts    map[cell]count // Cells, while they are counted
	alarms    map[alarms]int
	cleanRuns map[float64]int // by level of noise
	mu        sync.Mutex
	opts      *studyOptions
}

type cellCount struct {
	cell
	count
}

// alarms are those that a method raises at a level of noise.
type alarms struct {
	method string
	noise  float64
}

// A cleanCount says how often a method found a difference where there was none.
type cleanCount struct {
	Method  string   `json:"method"`
	Noise   *float64 `json:"noise,omitempty"` // nil for all levels together
	Runs    int      `json:"runs"`
	Alarms  int      `json:"alarms"`
	Upper95 float64  `json:"upper95"` // the exact bound of the share
}

func (o *studyOptions) run() (*figures, error) {
	bases, err := readBases(recordedTrials)
	if err != nil {
		return nil, err
	}
	runs, err := o.faulty(bases)
	if err != nil {
		return nil, err
	}
	all := &figures{
		Trials: o.trials, Faults: len(o.faults), Missed: []miss{}, False: []alarm{}, counts: make(map[cell]count), opts: o,
		alarms: make(map[alarms]int), cleanRuns: make(map[float64]int),
	}
	if o.cleanOnly {
		runs = nil
	}
	runs = append(runs, o.clean(bases)...)
	if o.only != 0 {
		runs = slices.DeleteFunc(runs, func(s studyRun) bool { return s.seed != o.only })
	}
	dir, err := os.MkdirTemp("", "study")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	debug.SetGCPercent(400) // as the command does
	todo := make(chan *studyRun)
	var group errgroup.Group
	group.Go(func() error {
		defer close(todo)
		start := time.Now()
		order := rand.New(rand.NewPCG(o.seed, 2)).Perm(len(runs)) // so that a part of them is a fair one
		for _, i := range order {
			if o.limit > 0 && time.Since(start) > o.limit {
				break
			}
			todo <- &runs[i]
		}
		return nil
	})
	for n := range runtime.GOMAXPROCS(0) {
		own := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, err
		}
		group.Go(func() (failed error) {
			for s := range todo {
				answers, err := s.ask(bases, own)
				if err != nil {
					failed = err // and take the others, for whom nobody else may
					continue
				}
				all.add(s, answers)
			}
			return failed
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all.settle()
	all.sort()
	return all, nil
}

// faulty are the runs with a fault.
func (o *studyOptions) faulty(bases []base) ([]studyRun, error) {
	var runs []studyRun
	for i := range o.faults {
		f := &o.faults[i]
		kinds, err := f.noises(bases)
		if err != nil {
			return nil, err
		}
		turn := i
		for _, level := range o.levels {
			for _, share := range o.shares {
				s := studyRun{trials: o.trials, level: level, fault: f, share: share, seed: o.seed<<32 + uint64(len(runs))}
				runs = append(runs, s)
				if level == 0 || len(kinds) == 0 {
					continue
				}
				turn++
				own := kinds[turn%len(kinds) : turn%len(kinds)+1]
				if o.everyNoise {
					own = kinds
				}
				for _, kind := range own {
					s.own, s.seed = kind, o.seed<<32+uint64(len(runs))
					runs = append(runs, s)
				}
			}
		}
	}
	return runs, nil
}

// clean are runs without a fault, of which the field may be noisy as it is in runs that have it.
func (o *studyOptions) clean(bases []base) []studyRun {
	runs := make([]studyRun, o.cleanRuns)
	r := rand.New(rand.NewPCG(o.seed, 1))
	for i := range runs {
		f := &o.faults[r.IntN(len(o.faults))]
		s := studyRun{
			trials: o.trials, level: o.levels[i%len(o.levels)], fault: f, clean: true, seed: o.seed<<32 + 1<<31 + uint64(i),
		}
		if kinds, err := f.noises(bases); s.level > 0 && err == nil && len(kinds) > 0 {
			s.own = kinds[r.IntN(len(kinds))]
		}
		s.again = s.level == 0 && i%(2*len(o.levels)) == 0
		runs[i] = s
	}
	return runs
}

// noises are the kinds of noise that the fault's field can have.
func (f *fault) noises(bases []base) ([]noiseKind, error) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range bases {
		v := bases[i].fire(firing{Rand: r, time: runStart})
		spots := find(&v, f.place)
		if f.seen == "/status" || len(spots) == 0 {
			continue
		}
		value := *spots[0].value()
		if before := v.String(); f.mutate(&v, r) && v.String() != before {
			return noisesOf(value), nil
		}
	}
	if f.seen == "/status" { // a noisy one has nothing that could be compared
		return nil, nil
	}
	return nil, fmt.Errorf("no outcome can have the fault %q", f.name)
}

// add takes the answers to one run.
func (f *figures) add(s *studyRun, answers map[string]said) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.clean {
		f.cleanRuns[s.level]++
	}
	for method, a := range answers {
		if s.clean {
			if a.differs {
				f.alarms[alarms{method, s.level}]++
				if method == byTandem {
					f.False = append(f.False, alarm{s.level, s.fault.seen, s.own, s.seed, a.at})
				}
			}
			continue
		}
		c := cell{method, s.share, s.level, s.own != noNoise}
		n := f.counts[c]
		n.Runs++
		if a.finds(s.fault, method == byTandem) {
			n.Found++
		} else if method == byTandem {
			f.Missed = append(f.Missed, miss{c, s.fault.name, s.own, s.seed, a.differs})
		}
		f.counts[c] = n
	}
}

func (f *figures) settle() {
	for _, method := range methods {
		for _, share := range f.opts.shares {
			for _, level := range f.opts.levels {
				for _, own := range []bool{false, true} {
					c := cell{method, share, level, own}
					if n := f.counts[c]; n.Runs > 0 {
						f.Cells = append(f.Cells, cellCount{c, n})
					}
				}
			}
		}
		runs, raised := 0, 0
		for _, level := range f.opts.levels {
			n, k := f.cleanRuns[level], f.alarms[alarms{method, level}]
			runs, raised = runs+n, raised+k
			f.Clean = append(f.Clean, cleanCount{method, &level, n, k, compare.UpperBound95(int64(k), int64(n))})
		}
		f.Clean = append(f.Clean, cleanCount{method, nil, runs, raised, compare.UpperBound95(int64(raised), int64(runs))})
	}
}
