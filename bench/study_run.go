package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/capture/jsonval"
	"tandem/replay"
)

// recordedTrials are trials of `tandem demo --fixed`, each with what the sample application did on Lambda.
//
//go:embed testdata/orders.jsonl
var recordedTrials []byte

var orderID = regexp.MustCompile(`ord_[A-Z2-7]{20}`)

// newOrderID is an ID as the application makes them.
func newOrderID(r *rand.Rand) string {
	id := []byte("ord_")
	for range 20 {
		id = append(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[r.IntN(32)])
	}
	return string(id)
}

// A base is a trial that others are made of.
type base struct {
	function, shape string
	outcome         string // as JSON, in the form of runs
	order, created  string // what is fresh in it: the order's ID and its time, or ""
}

func readBases(run []byte) ([]base, error) {
	var bases []base
	for line := range bytes.Lines(run) {
		t, err := replay.ParseTrial(line)
		if err != nil {
			return nil, err
		}
		text, err := t.Outcomes["lambda"].AppendJSON(nil)
		if err != nil {
			return nil, err
		}
		b := base{function: t.Function, shape: t.Shape, outcome: string(text)}
		if t.Function == "create-order" {
			b.order = orderID.FindString(b.outcome)
			_, after, _ := strings.Cut(b.outcome, `"createdAt":"`)
			b.created, _, _ = strings.Cut(after, `"`)
		}
		bases = append(bases, b)
	}
	return bases, nil
}

// A firing is one of the four of a trial.
type firing struct {
	*rand.Rand
	trial             int
	candidate, second bool
	time              time.Time
	sequence          int
}

// fire is what comes of firing at a base anew.
func (b *base) fire(f firing) jsonval.Value {
	text := b.outcome
	if b.order != "" {
		text = strings.ReplaceAll(text, b.order, newOrderID(f.Rand))
		text = strings.ReplaceAll(text, b.created, f.time.Format(time.RFC3339))
	}
	v, err := jsonval.Parse([]byte(text))
	if err != nil {
		panic(err) // it was read before
	}
	return v
}

// A studyRun is one run of the study: whose trials, with what noise, and which fault.
type studyRun struct {
	seed   uint64
	trials int
	level  float64   // share of trials in which a noisy field disagrees with itself
	fault  *fault    // nil for none
	own    noiseKind // of the field of the fault
	share  float64   // of trials that have the fault
	clean  bool      // the fault is left out, while its field may be noisy
	again  bool      // process-order does not do again what it did in the first firing
}

// firings are the four outcomes of a trial.
type firings struct {
	base  *base
	index int
	four  [4]jsonval.Value // of the baseline twice and of the candidate twice
}

// chosen has for every trial its base, and whether it is hit. Half of the trials can be hit.
func (s *studyRun) chosen(bases []base, r *rand.Rand) (of []*base, hit []bool, err error) {
	able := make([]*base, 0, len(bases))
	if s.fault != nil {
		for i := range bases {
			v := bases[i].fire(firing{Rand: r, time: runStart})
			before := v.String()
			if s.fault.mutate(&v, r) && v.String() != before {
				able = append(able, &bases[i])
			}
		}
		if len(able) == 0 {
			return nil, nil, fmt.Errorf("no outcome can have the fault %q", s.fault.name)
		}
	}
	of, hit = make([]*base, s.trials), make([]bool, s.trials)
	var can []int
	for i := range of {
		of[i] = &bases[r.IntN(len(bases))]
		if s.fault != nil && i%2 == 0 {
			of[i] = able[r.IntN(len(able))]
		}
		if slices.Contains(able, of[i]) {
			can = append(can, i)
		}
	}
	if s.fault == nil || s.clean {
		return of, hit, nil
	}
	r.Shuffle(len(can), func(i, j int) { can[i], can[j] = can[j], can[i] })
	for _, i := range can[:min(len(can), int(math.Ceil(s.share*float64(s.trials))))] {
		hit[i] = true
	}
	return of, hit, nil
}

var runStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// each makes the trials of a run.
func (s *studyRun) each(bases []base, do func(*firings) error) error {
	r := rand.New(rand.NewPCG(s.seed, 0))
	of, hit, err := s.chosen(bases, r)
	if err != nil {
		return err
	}
	noise := noisyFields(s.level)
	if s.own != noNoise {
		noise = append(noise, disturbs(s.fault.place, s.own, s.level))
	}
	slices.SortFunc(noise, func(a, b disturbance) int { return strings.Compare(a.place+string(a.kind), b.place+string(b.kind)) })
	var sequence [2]int
	for i := range s.trials {
		t := firings{base: of[i], index: i}
		for n := range t.four {
			f := firing{Rand: r, trial: i, candidate: n >= 2, second: n%2 == 1}
			f.time = runStart.Add(time.Duration(i)*137*time.Millisecond + time.Duration(r.IntN(30))*time.Millisecond)
			if f.second {
				f.time = f.time.Add(900 * time.Millisecond)
			}
			sequence[n/2] += 1 + r.IntN(2)
			f.sequence = 1000 + sequence[n/2]
			v := of[i].fire(f)
			if s.level > 0 {
				addNoisyFields(&v, f)
				for _, d := range noise {
					d.disturb(&v, r)
				}
			}
			if s.again && f.second {
				all(without("effects/resource=notifications-queue"), having("records", without("effects/kind=object.put")))(&v, r)
			}
			if f.candidate && hit[i] {
				s.fault.mutate(&v, r)
			}
			t.four[n] = v
		}
		if err := do(&t); err != nil {
			return err
		}
	}
	return nil
}

// ofFour names the outcomes as runs do.
var ofFour = [4]string{"lambda", "lambda#2", "functions", "functions#2"}

// appendTrial appends the trial's line in a run.
func (t *firings) appendTrial(dst []byte) []byte {
	dst = fmt.Appendf(dst, `{"n":%d,"invocation":"inv-%06d","function":%s,"shape":%s,"outcomes":{`,
		t.index, t.index, strconv.Quote(t.base.function), strconv.Quote(t.base.shape))
	for i, name := range ofFour {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(strconv.AppendQuote(dst, name), ':')
		dst = t.four[i].AppendJSON(dst)
	}
	return append(dst, "}}\n"...)
}
