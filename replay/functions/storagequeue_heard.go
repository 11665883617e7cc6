package functions

import (
	"context"
	"fmt"
	"time"

	"tandem/capture"
	"tandem/replay/completion"
)

// queueSource is what the queue itself is called where it contradicts others.
const queueSource = "the queue"

// A hearing is what others report of the messages of an invocation. The nil pointer hears nothing.
type hearing struct {
	wait  *completion.Wait
	grace time.Duration
}

// expect begins to hear of messages that nobody can have taken yet.
func (q *Queue) expect(messages []*queued) *hearing {
	if q.opts.Board == nil {
		return nil
	}
	keys := make([]completion.Key, len(messages))
	for i, m := range messages {
		keys[i] = completion.Message(m.id)
	}
	return &hearing{q.opts.Board.Expect(keys...), q.opts.Grace}
}

func (h *hearing) close() {
	if h != nil {
		h.wait.Close()
	}
}

// judge notes what the first attempt did with each message, once the queue has told the fates. The queue stays the judge
// of these, and who says the opposite makes an error.
func (h *hearing) judge(ctx context.Context, messages []*queued) error {
	if h == nil {
		return nil
	}
	grace := h.grace
	if deadline, ok := ctx.Deadline(); ok {
		grace = min(grace, time.Until(deadline)*9/10) // the effects are yet to be had
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	h.wait.Await(ctx, func(*completion.Wait) bool { //nolint:errcheck // what has not come by then is not needed
		for _, m := range messages {
			if f, err := h.finding(m); err == nil && (f.First == nil || f.Attempt > 1) {
				return false
			}
		}
		return true
	})
	for _, m := range messages {
		f, err := h.finding(m)
		if err != nil {
			return fmt.Errorf("message %s: %w", m.record, err)
		}
		m.first = f.First
	}
	return nil
}

func (h *hearing) finding(m *queued) (completion.Finding, error) {
	reports := append(h.wait.Reports(completion.Message(m.id)), completion.Report{Source: queueSource, Settled: m.fate})
	f, _, err := completion.Judge(reports, 0)
	return f, err
}

// firstMS is how long the first attempt took, in milliseconds; 0 when nobody told.
func (m *queued) firstMS() float64 {
	switch {
	case m.first == nil:
		return 0
	case m.first.PlatformMS > 0:
		return m.first.PlatformMS
	}
	return m.first.DurationMS
}

// failure is why a message went to the poison queue: what the function failed of, or that it did.
func (m *queued) failure(queue string) *capture.Error {
	if m.first != nil && m.first.Error != nil {
		return m.first.Error
	}
	return &capture.Error{Message: fmt.Sprintf("message %s was moved to queue %s-poison", m.record, queue)}
}
