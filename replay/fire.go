package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/capture"
)

// fire fires one invocation at all of its targets. An error means that there is no trial to write.
func (e *engine) fire(ctx context.Context, sh *shot) (*Trial, error) {
	sh.inv.Parse()
	trial := &Trial{
		N: sh.n, Invocation: sh.inv.ID, Repeat: sh.pass, Function: sh.inv.Function, Trigger: sh.inv.Trigger,
		Format: sh.inv.Format, Shape: sh.inv.Shape(), Time: time.Now().UTC(),
		Outcomes: make(map[string]*capture.Outcome, len(e.names)),
	}
	if len(sh.lanes) > 0 {
		trial.Lane = sh.lanes[0]
	}
	targets := e.targets[sh.inv.Function]
	if len(targets)*e.opts.rounds() < len(e.names) {
		for _, name := range e.names {
			trial.Outcomes[name] = Unreplayable("function %s has no target %s in the config", sh.inv.Function, name)
		}
	}
	if prepared, reasons := ready(targets, sh.inv); reasons != nil {
		e.refuse(targets, reasons, trial.Outcomes)
	} else if len(targets) > 0 {
		for round := range e.opts.rounds() {
			if err := e.fireRound(ctx, prepared, sh, round, trial); err != nil {
				return nil, err
			}
		}
	}
	if sh.warm {
		return trial, nil
	}
	for name, out := range trial.Outcomes {
		e.progress[name].record(out)
	}
	if sh.inv.Outcome != nil {
		trial.Outcomes[RecordedOutcome] = sh.inv.Outcome
	}
	return trial, nil
}

// refuse gives all targets the outcomes that follow when some cannot be sent an invocation, for these reasons.
func (e *engine) refuse(targets []chain, reasons []error, outcomes map[string]*capture.Outcome) {
	var by []string
	for i, t := range targets {
		if reasons[i] != nil {
			by = append(by, t.name)
		}
	}
	for round := range e.opts.rounds() {
		for i, t := range targets {
			out := Unreplayable("not sent, because it cannot be sent to %s", strings.Join(by, ", "))
			if reasons[i] != nil {
				out = Unreplayable("%v", reasons[i])
			}
			outcomes[outcomeName(t.name, round)] = out
		}
	}
}

// ready returns the targets, each prepared for inv, or for each why it cannot be sent inv; reasons is nil when all can.
func ready(targets []chain, inv *capture.Invocation) (prepared []chain, reasons []error) {
	prepared = slices.Clone(targets)
	for i, t := range targets {
		var err error
		prepared[i].target, err = prepare(t.target, inv)
		if err != nil && reasons == nil {
			reasons = make([]error, len(targets))
		}
		if err != nil {
			reasons[i] = err
		}
	}
	return prepared, reasons
}

// fireRound fires once at each target and puts the outcomes into the trial.
func (e *engine) fireRound(ctx context.Context, targets []chain, sh *shot, round int, trial *Trial) error {
	results := e.fireAll(ctx, targets, sh, round)
	if round == 0 {
		e.measure(sh, results, trial)
	}
	for i, r := range results {
		out, err := r.outcome, r.err
		var setup *SetupError
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &setup):
			return fmt.Errorf("function %s, target %s: %w", sh.inv.Function, targets[i].name, err)
		default:
			out = &capture.Outcome{Status: capture.StatusUnknown, Error: &capture.Error{Message: err.Error()}}
		}
		trial.Outcomes[outcomeName(targets[i].name, round)] = out
	}
	return nil
}

// measure notes when a shot was fired, against when it was due.
func (e *engine) measure(sh *shot, results []result, trial *Trial) {
	start := results[0].start
	trial.Time = start.UTC()
	if len(results) > 1 {
		e.skew.record(skew(results))
	}
	if !e.opts.Pace.timed() {
		return
	}
	due := e.start.Add(sh.due)
	trial.Due = due.UTC()
	late := start.Sub(due)
	e.late.record(late)
	if sh.free {
		e.error.record(late)
	}
}

type result struct {
	outcome *capture.Outcome
	err     error
	start   time.Time
}

// A single is a firing at one target, with what came of it.
type single struct {
	target *chain
	shot   *shot
	round  int
	result *result
	done   *sync.WaitGroup
}

// fireAll fires at all targets, which are prepared, at the same moment.
func (e *engine) fireAll(ctx context.Context, targets []chain, sh *shot, round int) []result {
	var done sync.WaitGroup
	results, singles := make([]result, len(targets)), make([]single, len(targets))
	for i := range targets {
		singles[i] = single{&targets[i], sh, round, &results[i], &done}
		if i > 0 {
			done.Add(1)
			e.crew <- &singles[i]
		}
	}
	e.fireOne(ctx, &singles[0])
	done.Wait()
	return results
}

func (e *engine) fireOne(ctx context.Context, one *single) {
	sh, r := one.shot, one.result
	progress := e.progress[outcomeName(one.target.name, one.round)]
	progress.fired.Add(1)
	r.start = time.Now()
	f := &firing{
		run: ctx, deadline: r.start.Add(e.opts.TargetTimeout), late: e.noAnswer,
		mark: capture.Mark{
			Run: e.log.session, Invocation: sh.inv.ID, Target: one.target.name, Repeat: sh.pass*e.opts.rounds() + one.round,
		},
	}
	defer f.end()
	r.outcome, r.err = one.target.target.Fire(f, sh.inv)
	if r.err != nil && errors.Is(r.err, context.DeadlineExceeded) && f.Err() != nil {
		r.err = fmt.Errorf("%w: %w", e.noAnswer, r.err)
	}
}
