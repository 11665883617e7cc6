package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"runtime/debug"
	"time"
)

const extensionName = "tandem-recorder"

const (
	// lateBy is how long before an invocation's deadline the extension asks for the next event in any case. At the
	// deadline itself Lambda would take it for hung, and fail the invocation.
	lateBy = 250 * time.Millisecond
	// shutdownTime is what Lambda gives extensions to shut down, less what it takes to say so.
	shutdownTime = 1800 * time.Millisecond
	// orphanedAfter is how long Lambda may be unreachable.
	orphanedAfter = 10 * time.Second
)

// extend is the extension's life. As long as Lambda can be reached it ends only when Lambda says so, because Lambda
// fails functions whose extensions exit.
func extend(getenv func(string) string, stdout, stderr io.Writer, log *log.Logger) error {
	ctx, cancel := terminated()
	defer cancel()
	debug.SetGCPercent(50) // the memory is the function's
	internal := getenv(internalEnv) != ""
	out := stdout
	if internal {
		out = stderr // what is written to stdout goes to whoever starts the recorder
	}
	c, err := readConfig(getenv)
	l := &ledger{log: log}
	var b *between
	if err == nil {
		b, err = stepBetween(c, l, out, stderr)
	}
	if err != nil {
		log.Printf("nothing is recorded: %v", err)
		if internal {
			return err
		}
		l.turnOff()
	}
	defer b.close()
	x := newExtension(c.platform)
	defer x.client.CloseIdleConnections()
	if err := register(ctx, x, internal); err != nil {
		return err
	}
	if internal {
		if _, err := fmt.Fprintln(stdout, b.address); err != nil {
			return err
		}
		if c, ok := stdout.(io.Closer); ok {
			c.Close() //nolint:errcheck // whoever reads it waits for the end
		}
	}
	reason := follow(ctx, x, b.ask(), l)
	b.ask().shutDown(reason, time.Now().Add(shutdownTime))
	log.Print(l.end())
	return nil
}

// register tries until it succeeds, because an extension that does not register fails the function. Where Lambda does
// not tell of invocations, as on Managed Instances, it registers for the end alone.
func register(ctx context.Context, x *extension, internal bool) error {
	events := []string{eventInvoke, eventShutdown}
	if internal {
		events = events[:1] // Lambda allows no more
	}
	return persist(ctx, func() error {
		err := x.register(ctx, extensionName, events...)
		var status *statusError
		if errors.As(err, &status) && status.code/100 == 4 && len(events) > 1 {
			events = events[1:]
			err = x.register(ctx, extensionName, events...)
		}
		return err
	})
}

// follow hears of invocations until there are no more, and returns the reason.
func follow(ctx context.Context, x *extension, w *workers, l *ledger) (reason string) {
	for {
		var ev event
		err := persist(ctx, func() (err error) {
			ev, err = x.next(ctx)
			return err
		})
		switch {
		case err != nil:
			return "spindown"
		case ev.Type == eventShutdown:
			return ev.Reason
		case ev.Type == eventInvoke:
			l.saw()
			w.invoked(ev.RequestID, ev.deadline().Add(-lateBy))
		}
	}
}

// persist tries something until it succeeds, ctx ends, or it has failed for as long as can be only when Lambda is
// gone.
func persist(ctx context.Context, try func() error) error {
	wait := 10 * time.Millisecond
	for start := time.Now(); ; {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Since(start) > orphanedAfter {
			return err
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, time.Second)
		case <-ctx.Done():
		}
	}
}
