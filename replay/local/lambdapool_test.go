package local

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// acquired is what acquire returns.
type acquired struct {
	env *environment
	err error
}

// wait has a client wait for an environment, and returns when it is in the queue. It belongs in a bubble.
func (p *pool) wait(ctx, platform context.Context) <-chan acquired {
	result := make(chan acquired, 1)
	go func() {
		env, err := p.acquire(ctx, platform, true)
		result <- acquired{env, err}
	}()
	synctest.Wait()
	return result
}

func TestWhoWaitsForAnEnvironmentIsServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool{spare: 1}
		if env, err := p.acquire(t.Context(), t.Context(), true); env != nil || err != nil {
			t.Fatalf("the right to start one is %v, %v", env, err)
		}
		first, second := p.wait(t.Context(), t.Context()), p.wait(t.Context(), t.Context())
		if len(p.waiting) != 2 {
			t.Fatalf("%d wait, want 2", len(p.waiting))
		}
		for i, result := range []<-chan acquired{first, second} {
			env := &environment{}
			p.release(env)
			if got := <-result; got.env != env || got.err != nil {
				t.Errorf("waiter %d got %v, %v", i, got.env, got.err)
			}
		}
	})
}

func TestWhoStopsWaitingForAnEnvironmentLeavesTheQueue(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(client, platform context.CancelFunc)
		want error
	}{
		{"the client goes away", func(client, _ context.CancelFunc) { client() }, context.Canceled},
		{"the platform is closed", func(_, platform context.CancelFunc) { platform() }, errLambdaClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p pool
				ctx, client := context.WithCancel(t.Context())
				defer client()
				platform, closing := context.WithCancel(t.Context())
				defer closing()
				result := p.wait(ctx, platform)
				test.end(client, closing)
				if got := <-result; got.env != nil || !errors.Is(got.err, test.want) {
					t.Errorf("got %v, %v", got.env, got.err)
				}
				env := &environment{}
				p.release(env)
				if got, err := p.acquire(t.Context(), t.Context(), false); err != nil || got != env {
					t.Errorf("the next one got %v, %v", got, err)
				}
			})
		})
	}
}

func TestEnvironmentGivenToAClientThatIsGoneIsNotLost(t *testing.T) {
	var p pool
	env := &environment{}
	turn := make(chan *environment, 1)
	turn <- env // given between the client's end and its leaving the queue
	p.leave(turn)
	if got, err := p.acquire(t.Context(), t.Context(), false); err != nil || got != env {
		t.Errorf("got %v, %v", got, err)
	}
}
