package completion

import (
	"context"
	"fmt"
	"sync"
)

// A Group runs sources that tell one board. It is safe for concurrent use.
type Group struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	failed map[Source]error
}

// Start opens all sources and runs them until Stop. When one cannot be opened none is left open. Failed is told once of
// each source that ends early; it may be nil.
func Start(ctx context.Context, b *Board, failed func(error), sources ...Source) (*Group, error) {
	g := &Group{failed: make(map[Source]error)}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.stop = stop
	for i, s := range sources {
		err := s.Open(ctx)
		if err == nil {
			continue
		}
		stop()
		for _, opened := range sources[:i] {
			opened.Run(run, b) //nolint:errcheck // it only lets go
		}
		return nil, fmt.Errorf("completion: %w", err)
	}
	for _, s := range sources {
		g.running.Go(func() {
			err := s.Run(run, b)
			if err == nil || run.Err() != nil {
				return
			}
			err = fmt.Errorf("%s ended before the replay did: %w", s.Name(), err)
			g.mu.Lock()
			g.failed[s] = err
			g.mu.Unlock()
			if failed != nil {
				failed(err)
			}
		})
	}
	return g, nil
}

// Failure is why a source ended early, nil while it has not.
func (g *Group) Failure(s Source) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed[s]
}

// Stop ends all sources and returns when they have let go of what they took.
func (g *Group) Stop() {
	g.stop()
	g.running.Wait()
}
