//go:build peers

package functions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/completion"
)

// A busHost stands for the Functions host at a queue: the test receives messages and settles them when it wants to.
type busHost struct {
	*testing.T
	ctx    context.Context
	client *azservicebus.Client
	plain  *azservicebus.Receiver
}

// newBusTarget returns a target at a queue and the queue's host.
func newBusTarget(t *testing.T, connection, queue string, change func(*ServiceBusOptions)) (*ServiceBus, *busHost) {
	t.Helper()
	opts := ServiceBusOptions{Connection: connection, Name: queue}
	if change != nil {
		change(&opts)
	}
	b, err := NewServiceBus(opts)
	if err != nil {
		t.Fatal(err)
	}
	b.delay = time.Second
	t.Cleanup(func() { b.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	client, err := azservicebus.NewClientFromConnectionString(connection, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the test is over
		cancel()
	})
	h := &busHost{T: t, ctx: ctx, client: client}
	if h.plain, err = client.NewReceiverForQueue(queue, nil); err != nil {
		t.Fatal(err)
	}
	return b, h
}

func (h *busHost) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *busHost) receive() *azservicebus.ReceivedMessage {
	h.Helper()
	got, err := h.plain.ReceiveMessages(h.ctx, 1, nil)
	if err != nil || len(got) != 1 {
		h.Fatalf("received %v, %v", got, err)
	}
	return got[0]
}

func busFire(ctx context.Context, b *ServiceBus, inv *capture.Invocation, repeat int) <-chan fired {
	ctx = replay.WithMark(ctx, capture.Mark{Run: "run", Invocation: inv.ID, Target: "functions", Repeat: repeat})
	done := make(chan fired, 1)
	go func() {
		out, err := b.Fire(ctx, inv)
		done <- fired{out, err}
	}()
	return done
}

func TestAServiceBusLearnsTheFateOfEachMessage(t *testing.T) {
	t.Parallel()
	connection := peers.ServiceBus(t, map[string]peers.BusQueue{"q": {MaxDelivery: 2, DuplicatesMS: 60_000}})
	b, h := newBusTarget(t, connection, "q", nil)
	inv := sqsEvent(`{"messageId":"good","body":"{\"a\": 1}","messageAttributes":{
		"n":{"stringValue":"7","dataType":"Number"},"b":{"binaryValue":"AAE=","dataType":"Binary"}}}`,
		`{"messageId":"bad","body":"x"}`, `{"messageId":"again","body":"x"}`, `{"messageId":"refused","body":""}`)
	for repeat := range 2 { // the second is a duplicate of nothing
		done := busFire(h.ctx, b, inv, repeat)
		good := h.receive()
		if string(good.Body) != `{"a": 1}` || *good.ContentType != "application/json" || good.SessionID != nil ||
			good.ApplicationProperties["n"] != int64(7) || fmt.Sprint(good.ApplicationProperties["b"]) != "[0 1]" ||
			good.ApplicationProperties[capture.MarkHeader] != fmt.Sprintf("run/i/functions/%d", repeat) {
			t.Errorf("sent %+v", good)
		}
		bad := h.receive()
		h.must(h.plain.AbandonMessage(h.ctx, bad, nil))
		h.must(h.plain.AbandonMessage(h.ctx, h.receive(), nil))
		again := h.receive()
		h.must(h.plain.AbandonMessage(h.ctx, again, nil))
		h.must(h.plain.CompleteMessage(h.ctx, h.receive(), nil))
		h.must(h.plain.DeadLetterMessage(h.ctx, h.receive(), &azservicebus.DeadLetterOptions{Reason: to.Ptr("nonsense")}))
		select {
		case got := <-done:
			t.Fatalf("known before all are settled: %+v, %v", got.out, got.err)
		default:
		}
		h.must(h.plain.CompleteMessage(h.ctx, good, nil))
		got := <-done
		want := map[string]capture.Fate{
			"good": capture.Acked, "bad": capture.DeadLettered, "again": capture.Acked, "refused": capture.DeadLettered,
		}
		if got.err != nil || !maps.Equal(got.out.Records, want) || got.out.Status != capture.StatusOK {
			t.Fatalf("fates %+v, %v", got.out, got.err)
		}
		e := got.out.Error
		if e == nil || e.Type != "MaxDeliveryCountExceeded" || !strings.HasPrefix(e.Message, "message bad was") {
			t.Errorf("error %+v", e)
		}
	}
}

func TestAServiceBusKeepsAGroupsOrder(t *testing.T) {
	t.Parallel()
	b, h := newBusTarget(t, peers.ServiceBus(t, map[string]peers.BusQueue{"q": {Sessions: true, MaxDelivery: 1}}), "q",
		func(o *ServiceBusOptions) { o.Sessions = true })
	inv := sqsEvent(fifoRecord("1", "a", "d1", "1"), fifoRecord("2", "a", "d2", "2"), fifoRecord("3", "b", "d1", "3"),
		fifoRecord("4", "a", "d4", "4"))
	done := busFire(h.ctx, b, inv, 0)
	for _, want := range []string{"a:124", "b:3"} {
		id, bodies, _ := strings.Cut(want, ":")
		session, err := h.client.AcceptSessionForQueue(h.ctx, "q", id, nil)
		h.must(err)
		for _, body := range bodies {
			got, err := session.ReceiveMessages(h.ctx, 1, nil)
			if err != nil || len(got) != 1 || string(got[0].Body) != string(body) {
				t.Fatalf("session %s: %v, %v; want %c", id, got, err, body)
			}
			if body == '2' { // a session goes on behind it
				h.must(session.AbandonMessage(h.ctx, got[0], nil))
				continue
			}
			h.must(session.CompleteMessage(h.ctx, got[0], nil))
		}
		h.must(session.Close(h.ctx))
	}
	got := <-done
	want := map[string]capture.Fate{"1": capture.Acked, "2": capture.DeadLettered, "3": capture.Acked, "4": capture.Acked}
	if got.err != nil || !maps.Equal(got.out.Records, want) {
		t.Errorf("fates %+v, %v", got.out, got.err)
	}
}

func TestWhatAServiceBusCannotTellIsUnknown(t *testing.T) {
	t.Parallel()
	connection := peers.ServiceBus(t, map[string]peers.BusQueue{
		"idle": {}, "deferred": {}, "blind": {Blind: true},
		"brief": {TTLMS: 3000}, "buried": {TTLMS: 3000, DeadLetterExpired: true},
	})
	for _, tt := range []struct {
		queue, want string
		timeout     time.Duration
		receive     func(*busHost)
	}{
		{"idle", "queue idle still has m-0 after 0 deliveries that failed", 4 * time.Second, nil},
		{"deferred", "queue deferred still has m-0", 4 * time.Second, func(h *busHost) {
			h.must(h.plain.DeferMessage(h.ctx, h.receive(), nil))
		}},
		{"brief", "may have expired", time.Minute, nil},
		{"buried", "the queue gave it up by itself: TTLExpiredException", time.Minute, nil},
		{"blind", "does not show its messages", time.Minute, nil},
	} {
		t.Run(tt.queue, func(t *testing.T) {
			t.Parallel()
			b, h := newBusTarget(t, connection, tt.queue, nil)
			ctx, cancel := context.WithTimeoutCause(h.ctx, tt.timeout, errors.New("time is up"))
			defer cancel()
			done := busFire(ctx, b, sqsBatch(t, "x"), 0)
			if tt.receive != nil {
				tt.receive(h)
			}
			if got := <-done; got.err == nil || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("%+v, %v; want %q", got.out, got.err, tt.want)
			}
		})
	}
}

func TestAServiceBusThatIsNotAsTheConfigSaysIsRefused(t *testing.T) {
	t.Parallel()
	connection := peers.ServiceBus(t, map[string]peers.BusQueue{
		"plain": {}, "sessions": {Sessions: true}, "forwards": {Forwards: true}, "small": {MaxMessage: 1000}, "used": {},
	})
	_, h := newBusTarget(t, connection, "used", nil)
	sender, err := h.client.NewSender("used", nil)
	h.must(err)
	h.must(sender.SendMessage(h.ctx, &azservicebus.Message{Body: []byte("x")}, nil))
	group := sqsEvent(fifoRecord("1", "a", "d1", "1"))
	for _, tt := range []struct {
		queue, connection string
		sessions          bool
		want              string
	}{
		{"plain", connection, true, "requires no sessions"},
		{"sessions", connection, false, "queue sessions requires sessions"},
		{"forwards", connection, false, "gives no receiver"},
		{"small", connection, false, "takes messages of 1000 bytes at most, and the config says 262144"},
		{"used", connection, false, "queue used has 1 messages or more"},
		{"none", connection, false, "amqp:not-found"},
		{"plain", connection + ";SharedAccessKey=wrong", false, "401"},
	} {
		b, h := newBusTarget(t, tt.connection, tt.queue, func(o *ServiceBusOptions) { o.Sessions = tt.sessions })
		inv := sqsBatch(t, "x")
		if tt.sessions {
			inv = group
		}
		got := <-busFire(h.ctx, b, inv, 0)
		var setup *replay.SetupError
		if !errors.As(got.err, &setup) || !strings.Contains(got.err.Error(), tt.want) ||
			strings.Contains(got.err.Error(), "=wrong") {
			t.Errorf("%s: %+v, %v; want %q", tt.queue, got.out, got.err, tt.want)
		}
	}
}

func TestAServiceBusSendsOnce(t *testing.T) {
	t.Parallel()
	b, h := newBusTarget(t, peers.ServiceBus(t, map[string]peers.BusQueue{"q": {}}), "q", nil)
	first := busFire(h.ctx, b, sqsBatch(t, "x"), 0)
	h.must(h.plain.CompleteMessage(h.ctx, h.receive(), nil))
	if got := <-first; got.err != nil || got.out.Records["m-0"] != capture.Acked {
		t.Fatalf("%+v, %v", got.out, got.err)
	}
	faulty := func(fault string) *capture.Invocation {
		return sqsEvent(`{"messageId":"m","body":"x","messageAttributes":{"fault":{"stringValue":"` + fault +
			`","dataType":"String"}}}`)
	}
	var throttled *replay.ThrottledError
	if got := <-busFire(h.ctx, b, faulty("busy"), 0); !errors.As(got.err, &throttled) {
		t.Errorf("a server that is busy: %+v, %v", got.out, got.err)
	}
	if got := <-busFire(h.ctx, b, faulty("refused"), 0); got.err != nil || got.out.Status != capture.StatusTransport {
		t.Errorf("a message that is refused: %+v, %v", got.out, got.err)
	}
	// The service has it, and nobody was told. The SDK would send it again.
	if got := <-busFire(h.ctx, b, faulty("lost"), 1); got.err != nil || got.out.Status != capture.StatusTransport {
		t.Errorf("an answer that was lost: %+v, %v", got.out, got.err)
	}
	peeked, err := h.plain.PeekMessages(h.ctx, 10, nil)
	if err != nil || len(peeked) != 1 {
		t.Errorf("%d messages are in the queue, %v", len(peeked), err)
	}
	h.must(h.plain.CompleteMessage(h.ctx, h.receive(), nil))
	last := busFire(h.ctx, b, sqsBatch(t, "y"), 2) // on a new connection
	h.must(h.plain.CompleteMessage(h.ctx, h.receive(), nil))
	if got := <-last; got.err != nil || got.out.Records["m-0"] != capture.Acked {
		t.Errorf("after that: %+v, %v", got.out, got.err)
	}
}

func TestAServiceBusBelievesNoContradiction(t *testing.T) {
	t.Parallel()
	board := completion.NewBoard()
	b, h := newBusTarget(t, peers.ServiceBus(t, map[string]peers.BusQueue{"q": {}}), "q",
		func(o *ServiceBusOptions) { o.Board = board })
	for i, tt := range []struct {
		reported, want string
		bury           bool
	}{
		{"ok", "acked", false}, {"function_error", "acked", false}, {"function_error", "dead-lettered", true}, {"ok", "", true},
	} {
		done := busFire(h.ctx, b, sqsBatch(t, "x"), i)
		m := h.receive()
		out := &capture.Outcome{Status: capture.Status(tt.reported), Effects: []capture.Effect{{Kind: "object.put"}}}
		if tt.reported != "ok" {
			out.Error = &capture.Error{Type: "Boom"}
		}
		board.Report(completion.Report{Key: completion.Message(m.MessageID), Source: "recorder", Attempt: 1, Outcome: out})
		if tt.bury {
			h.must(h.plain.DeadLetterMessage(h.ctx, m, nil))
		} else {
			h.must(h.plain.CompleteMessage(h.ctx, m, nil))
		}
		got := <-done
		if tt.want == "" {
			if got.err == nil || !strings.Contains(got.err.Error(), "given up") {
				t.Errorf("%+v: %+v, %v", tt, got.out, got.err)
			}
			continue
		}
		if got.err != nil || string(got.out.Records["m-0"]) != tt.want || len(got.out.Effects) != 1 ||
			tt.bury && got.out.Error.Type != "Boom" {
			t.Errorf("%+v: %+v, %v", tt, got.out, got.err)
		}
	}
}
