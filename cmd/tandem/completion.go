package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tandem/capture"
	"tandem/capture/eventhub"
	"tandem/config"
	"tandem/replay"
	"tandem/replay/completion"
)

// completions are the sources of what triggers do not answer. Functions that name the same one share it.
type completions struct {
	board     *completion.Board
	sources   []completion.Source
	recorders map[config.Recorder]*completion.Recorder
	logs      map[config.Logs]*completion.Logs
	group     *completion.Group // nil until they were started
}

func newCompletions() *completions {
	return &completions{
		board: completion.NewBoard(), recorders: make(map[config.Recorder]*completion.Recorder),
		logs: make(map[config.Logs]*completion.Logs),
	}
}

// around returns t with the deadline and the sources that the config gives its function, which may be none.
func (c *completions) around(t replay.Target, cfg *config.Completion) (replay.Target, error) {
	if cfg == nil {
		return t, nil
	}
	after, err := cfg.After()
	if err != nil {
		return nil, fmt.Errorf("completion: deadline: %w", err)
	}
	h := &heard{Target: t, all: c, after: after}
	if cfg.Recorder != nil {
		r, err := c.recorder(*cfg.Recorder)
		if err != nil {
			return nil, fmt.Errorf("completion: recorder: %w", err)
		}
		h.sources = append(h.sources, r)
	}
	if cfg.Logs != nil {
		l, err := c.log(*cfg.Logs)
		if err != nil {
			return nil, fmt.Errorf("completion: logs: %w", err)
		}
		h.sources = append(h.sources, l)
	}
	return h, nil
}

func (c *completions) recorder(cfg config.Recorder) (*completion.Recorder, error) {
	if r := c.recorders[cfg]; r != nil {
		return r, nil
	}
	pair := tlsFlags{cert: cfg.TLSCert, key: cfg.TLSKey}
	secure, err := pair.config()
	if err != nil {
		return nil, err
	}
	if secure != nil {
		secure.MinVersion = tls.VersionTLS12
	}
	r := completion.NewRecorder(completion.RecorderOptions{Listen: cfg.Listen, Token: cfg.Token, TLS: secure})
	c.recorders[cfg] = r
	c.sources = append(c.sources, r)
	return r, nil
}

func (c *completions) log(cfg config.Logs) (*completion.Logs, error) {
	if l := c.logs[cfg]; l != nil {
		return l, nil
	}
	access := eventhub.Access{
		Namespace: cfg.Namespace, ConnectionString: cfg.Connection, Hub: cfg.Hub, ConsumerGroup: cfg.ConsumerGroup,
	}
	if cfg.Connection == "" {
		credential, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return nil, err
		}
		access.Credential = credential
	} else {
		hub, err := eventhub.HubOf(cfg.Connection)
		switch {
		case err != nil:
			return nil, fmt.Errorf("connection: %w", err)
		case hub != "" && cfg.Hub != "" && hub != cfg.Hub:
			return nil, fmt.Errorf("hub is %s, and the connection string is one for %s", cfg.Hub, hub)
		case hub != "":
			access.Hub = hub
		}
	}
	l := completion.NewLogs(access)
	c.logs[cfg] = l
	c.sources = append(c.sources, l)
	return l, nil
}

// start opens all sources, so that what is fired from now on is not missed. Stop is to be called when it succeeds.
func (c *completions) start(ctx context.Context, say func(format string, args ...any)) error {
	if len(c.sources) == 0 {
		return nil
	}
	group, err := completion.Start(ctx, c.board, nil, c.sources...)
	if err != nil {
		return err
	}
	c.group = group
	for _, s := range c.sources {
		say("hearing completions from %s", s.Name())
	}
	return nil
}

// stop ends the sources, and says which have ended before. Outcomes that would have come from them say so, too.
func (c *completions) stop(say func(format string, args ...any)) {
	if c.group == nil {
		return
	}
	c.group.Stop()
	for _, s := range c.sources {
		if err := c.group.Failure(s); err != nil {
			say("%v", err)
		}
		if r, ok := s.(*completion.Recorder); ok && r.Stats().Refused > 0 {
			say("%s refused %s: is TANDEM_COMPLETIONS_TOKEN the same, and TANDEM_SINK another address?", r.Name(),
				count(r.Stats().Refused, "post"))
		}
	}
}

// stats are nil when nobody was listened to.
func (c *completions) stats() *completion.Stats {
	if c.group == nil {
		return nil
	}
	s := c.board.Stats()
	return &s
}

// A heard is a target whose outcomes are told by sources, within a deadline.
type heard struct {
	replay.Target
	all     *completions
	sources []completion.Source
	after   time.Duration // 0 for no deadline but the replay's
}

// Check is that of the target; see [replay.Checker].
func (h *heard) Check(inv *capture.Invocation) error {
	if checker, ok := h.Target.(replay.Checker); ok {
		return checker.Check(inv)
	}
	return nil
}

// Close ends the connections of the target, if it keeps some.
func (h *heard) Close() error {
	if c, ok := h.Target.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Fire ends at the deadline. When nothing is known then, and a source has ended that might have told, it says so.
func (h *heard) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	within := ctx
	if h.after > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeoutCause(ctx, h.after, fmt.Errorf("no completion within %v", h.after))
		defer cancel()
	}
	out, err := h.Target.Fire(within, inv)
	if err == nil {
		return out, nil
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && within.Err() != nil {
		err = fmt.Errorf("%w: %v", context.Cause(within), err)
	}
	var throttled *replay.ThrottledError
	var setup *replay.SetupError
	if errors.As(err, &throttled) || errors.As(err, &setup) || h.all.group == nil {
		return out, err
	}
	for _, s := range h.sources {
		if failure := h.all.group.Failure(s); failure != nil {
			err = fmt.Errorf("%w; %w", err, failure)
		}
	}
	return out, err
}

// unheard says what of the completions that were told was of no use. It is told only where it may be why outcomes are
// not known.
func unheard(m *replay.RunManifest) (s string) {
	c := m.Completions
	if c == nil {
		return ""
	}
	for _, some := range []struct {
		n    int64
		what string
	}{
		{c.Late, "came too late"},
		{c.Ambiguous, "may be about one of several uploads of a blob, and were not used"},
		{c.Lost, "were lost before they could be told, as recorders say"},
	} {
		if some.n > 0 {
			s += fmt.Sprintf("\n  %s %s", count(some.n, "completion"), some.what)
		}
	}
	return s
}
