package replay

import (
	"context"
	"fmt"

	"tandem/capture"
)

// An EffectsFunc returns, and forgets, what the invocation that carried mark did to the world. It is called only
// when the function is known to have run and to have ended.
type EffectsFunc func(ctx context.Context, mark capture.Mark) ([]capture.Effect, error)

// WithEffects wraps t so that its outcomes have the effects that take returns. When they cannot be had, the outcome
// is not known: an invocation whose effects nobody saw must not look like one without effects.
func WithEffects(t Target, take EffectsFunc) Target { return &observed{t, take} }

type observed struct {
	target Target
	take   EffectsFunc
}

// Prepare implements [Preparer].
func (o *observed) Prepare(inv *capture.Invocation) (Target, error) {
	target, err := prepare(o.target, inv)
	if err != nil {
		return nil, err
	}
	return &observed{target, o.take}, nil
}

// Fire implements [Target].
func (o *observed) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	out, err := o.target.Fire(ctx, inv)
	if err != nil || !ran(out.Status) {
		return out, err
	}
	mark, ok := MarkFrom(ctx)
	if !ok {
		return nil, fmt.Errorf("effects of invocation %s: it was fired without a mark", inv.ID)
	}
	effects, err := o.take(ctx, mark)
	if err != nil {
		return nil, fmt.Errorf("effects of invocation %s: %w", inv.ID, err)
	}
	if effects == nil {
		effects = []capture.Effect{}
	}
	out.Effects = effects
	return out, nil
}

// ran reports whether a status says that the function ran and is no longer running.
func ran(s capture.Status) bool {
	return s == capture.StatusOK || s == capture.StatusFunctionError || s == capture.StatusTimeout
}
