package local

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A pool hands out a function's environments. The warm one that was used last goes first, as on Lambda; who waits is
// served in order. The zero pool has none to give.
type pool struct {
	mu      sync.Mutex
	idle    []*environment
	spare   int // environments that may yet be started
	waiting []chan *environment
}

// acquire returns a warm environment, or nil when the caller is to start one. Whatever it returns must be given back
// with release. When all are busy it waits until ctx or platform ends, or, without wait, fails with a throttle.
func (p *pool) acquire(ctx, platform context.Context, wait bool) (*environment, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		env := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return env, nil
	}
	if p.spare > 0 {
		p.spare--
		p.mu.Unlock()
		return nil, nil
	}
	if !wait {
		p.mu.Unlock()
		return nil, &LambdaError{
			Status: 429, Type: "TooManyRequestsException", Message: "Rate Exceeded.",
			Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", RetryAfter: time.Second,
		}
	}
	turn := make(chan *environment, 1)
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()

	var err error
	select {
	case env := <-turn:
		return env, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-platform.Done():
		err = errLambdaClosed
	}
	p.leave(turn)
	return nil, err
}

// leave takes a waiter off the queue, and passes on what it may have been given in the meantime.
func (p *pool) leave(turn chan *environment) {
	p.mu.Lock()
	i := slices.Index(p.waiting, turn)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 {
		p.release(<-turn)
	}
}

// release gives back an environment, or the right to start one when env is nil.
func (p *pool) release(env *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.waiting) > 0:
		p.waiting[0] <- env
		p.waiting = p.waiting[1:]
	case env == nil:
		p.spare++
	default:
		p.idle = append(p.idle, env)
	}
}

// drain takes all environments out of the pool.
func (p *pool) drain() []*environment {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle
	p.idle = nil
	return idle
}
