//go:build peers

package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/functions"
)

// busApp is an app with one function that receives from a queue, with the given function and extra fields of its
// binding.
func busApp(t *testing.T, function, queue, binding string) string {
	return writeApp(t, `},"extensions":{"serviceBus":{"sessionIdleTimeout":"00:00:00.2"}}`, map[string]string{
		function: `{"bindings":[{"type":"serviceBusTrigger","direction":"in","name":"message","queueName":"` + queue +
			`","connection":"Bus"` + binding + `}]}`,
	})
}

// busInvocation returns an SQS event of messages m-0, m-1, …, with group:body where they are of FIFO queues.
func busInvocation(bodies ...string) *capture.Invocation {
	var records []string
	for i, body := range bodies {
		group, rest, ok := strings.Cut(body, ":")
		if !ok {
			group, rest = "", body
		}
		records = append(records, fmt.Sprintf(
			`{"messageId":"m-%d","body":%q,"attributes":{"MessageGroupId":%q,"MessageDeduplicationId":"d-%[1]d"}}`, i, rest, group))
	}
	return &capture.Invocation{
		ID: "i", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
		Event: []byte(`{"Records":[` + strings.Join(records, ",") + `]}`),
	}
}

func newBusTarget(t *testing.T, opts functions.ServiceBusOptions) *functions.ServiceBus {
	t.Helper()
	b, err := functions.NewServiceBus(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// TestAMessageIsFollowedFromSQSThroughServiceBusToItsFate fires at a real handler behind the embedded host.
func TestAMessageIsFollowedFromSQSThroughServiceBusToItsFate(t *testing.T) {
	t.Parallel()
	connection := peers.ServiceBus(t, map[string]peers.BusQueue{
		"plain": {MaxDelivery: 3}, "fifo": {MaxDelivery: 2, Sessions: true}, "stopped": {},
	})
	const acked, dead = capture.Acked, capture.DeadLettered
	for _, tt := range []struct {
		queue, binding string
		bodies         []string
		want           []capture.Fate
		says           []string // the handler, in this order
	}{
		{"plain", "", []string{"good", "once", "fail"}, []capture.Fate{acked, acked, dead}, nil},
		{"fifo", `,"isSessionsEnabled":true`, []string{"a:one", "a:once", "a:fail", "a:two"},
			[]capture.Fate{acked, acked, dead, acked}, []string{
				`"one" session "a" delivery 1`, `"once" session "a" delivery 1`, `"once" session "a" delivery 2`,
				`"fail" session "a" delivery 1`, `"fail" session "a" delivery 2`, `"two" session "a" delivery 1`,
			}},
	} {
		t.Run(tt.queue, func(t *testing.T) {
			t.Parallel()
			log := new(syncBuffer)
			f, err := NewFunctions(t.Context(), FunctionsOptions{
				App: busApp(t, "bus", "%QUEUE%", tt.binding), Env: []string{"Bus=" + connection, "QUEUE=" + tt.queue}, Log: log,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := newBusTarget(t, functions.ServiceBusOptions{
				Connection: connection, Name: tt.queue, Sessions: tt.binding != "",
			}).Fire(ctx, busInvocation(tt.bodies...))
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			want := make(map[string]capture.Fate)
			for i, fate := range tt.want {
				want[fmt.Sprint("m-", i)] = fate
			}
			if !maps.Equal(out.Records, want) || out.Error == nil || out.Error.Type != "MaxDeliveryCountExceeded" {
				t.Errorf("%+v, want %v\n%s", out, want, log)
			}
			rest := log.String()
			for _, line := range tt.says {
				_, after, found := strings.Cut(rest, line)
				if !found {
					t.Fatalf("%s is not there, or not in this order:\n%s", line, log)
				}
				rest = after
			}
		})
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		out, err := newBusTarget(t, functions.ServiceBusOptions{Connection: connection, Name: "stopped"}).
			Fire(ctx, busInvocation("good"))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does the app run") {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

// The effects are those of the first delivery.
func TestEffectsOfAServiceBusMessageAreFound(t *testing.T) {
	t.Parallel()
	connection := peers.ServiceBus(t, map[string]peers.BusQueue{"q": {MaxDelivery: 2}})
	world, err := effects.NewServer(effects.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	f, err := NewFunctions(t.Context(), FunctionsOptions{
		App: busApp(t, "queue", "q", ""), Env: []string{"Bus=" + connection}, Effects: world,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := newBusTarget(t, functions.ServiceBusOptions{
		Connection: connection, Name: "q",
		Effects: func(_ context.Context, id string, delivery int) ([]capture.Effect, error) {
			work, _ := world.Take(effects.MessageTag(id, delivery))
			return work.Effects, nil
		},
	})
	ctx, cancel := context.WithTimeout(replay.WithMark(t.Context(), capture.Mark{Run: "r"}), time.Minute)
	defer cancel()
	out, err := b.Fire(ctx, busInvocation("fail", "good"))
	if err != nil || len(out.Effects) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := string(out.Effects[0].Body.Bytes()); !strings.Contains(got, "fail") {
		t.Errorf("effects %s", got)
	}
}

// The message stays locked while its function runs.
func TestALongFunctionKeepsItsServiceBusMessage(t *testing.T) {
	t.Parallel()
	for queue, binding := range map[string]string{"plain": "", "fifo": `,"isSessionsEnabled":true`} {
		t.Run(queue, func(t *testing.T) {
			t.Parallel()
			keepsItsMessage(t, queue, binding)
		})
	}
}

func keepsItsMessage(t *testing.T, queue, binding string) {
	connection := peers.ServiceBus(t, map[string]peers.BusQueue{queue: {LockMS: 1000, Sessions: queue == "fifo"}})
	m, setting := newMeeting(t)
	log := new(syncBuffer)
	f, err := NewFunctions(t.Context(), FunctionsOptions{
		App: busApp(t, "longqueue", queue, binding), Env: []string{"Bus=" + connection, setting}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]string{"plain": "x", "fifo": "g:x"}[queue]
	b := newBusTarget(t, functions.ServiceBusOptions{Connection: connection, Name: queue, Sessions: queue == "fifo"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	type answer struct {
		out *capture.Outcome
		err error
	}
	done := make(chan answer, 1)
	go func() {
		out, err := b.Fire(ctx, busInvocation(body))
		done <- answer{out, err}
	}()
	<-m.arrived
	over := time.NewTimer(3 * time.Second) // three times as long as the lock
	<-over.C
	close(m.leave)
	if got := <-done; got.err != nil || got.out.Records["m-0"] != capture.Acked {
		t.Errorf("%s: %+v, %v", queue, got.out, got.err)
	}
	cancel()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "Executing 'Functions."); n != 1 {
		t.Errorf("%s: called %d times:\n%s", queue, n, log)
	}
}
