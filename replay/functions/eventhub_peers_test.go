//go:build peers

package functions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/completion"
)

// newHub returns a target at a hub, and the board that it waits for.
func newHub(t *testing.T, connection string) (*EventHub, *completion.Board) {
	t.Helper()
	board := completion.NewBoard()
	h, err := NewEventHub(EventHubOptions{Connection: connection, Name: "clicks", Board: board})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() }) //nolint:errcheck // it never fails
	return h, board
}

// read gives each event of all partitions to see, until the test ends.
func read(t *testing.T, connection string, see func(partition string, e *azeventhubs.ReceivedEventData)) {
	t.Helper()
	consumer, err := azeventhubs.NewConsumerClientFromConnectionString(connection, "clicks", "$Default", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	props, err := consumer.GetEventHubProperties(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	for _, id := range props.PartitionIDs {
		client, err := consumer.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{Earliest: to.Ptr(true)},
		})
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			defer client.Close(context.Background()) //nolint:errcheck // nothing more is read
			for ctx.Err() == nil {
				events, _ := client.ReceiveEvents(ctx, 1, nil)
				for _, e := range events {
					see(id, e)
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		reading.Wait()
		consumer.Close(context.Background()) //nolint:errcheck // nothing more is read
	})
}

// tell reports what became of an event, as the recorder beside its handler does.
func tell(board *completion.Board, e *azeventhubs.ReceivedEventData, status capture.Status) {
	id, _ := e.Properties[capture.EventIDProperty].(string)
	board.Report(completion.Report{
		Key: completion.Event(id), Source: "recorder", Invocation: "of " + id, Attempt: 1,
		Outcome: &capture.Outcome{Status: status, Error: &capture.Error{Message: string(e.Body)}},
	})
}

func fireWithin(t *testing.T, h *EventHub, inv *capture.Invocation) (*capture.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	mark := capture.Mark{Run: "01R", Invocation: inv.ID, Target: "functions"}
	return h.Fire(replay.WithMark(ctx, mark), inv)
}

func TestEventsOfAKeyArriveInOrderOnceWithWhatTellsThem(t *testing.T) {
	connection := peers.EventHubs(t, "clicks", 3)
	h, board := newHub(t, connection)
	const keys, each, firings = 4, 5, 3
	var mu sync.Mutex
	got := make(map[string]string) // bodies by partition key
	at := make(map[string]string)  // partitions by partition key
	read(t, connection, func(partition string, e *azeventhubs.ReceivedEventData) {
		mu.Lock()
		defer mu.Unlock()
		key := *e.PartitionKey
		if at[key] != "" && at[key] != partition {
			t.Errorf("key %s is in partitions %s and %s", key, at[key], partition)
		}
		at[key] = partition
		got[key] += string(e.Body) + " "
		if mark, err := capture.ParseMark(fmt.Sprint(e.Properties[capture.MarkHeader])); err != nil || mark.Run != "01R" {
			t.Errorf("the mark is %v", e.Properties)
		}
		if !strings.HasPrefix(fmt.Sprint(e.Properties[shardProperty]), "shardId-0:") {
			t.Errorf("the properties are %v", e.Properties)
		}
		tell(board, e, capture.StatusOK)
	})
	want := make(map[string]string)
	for n := range firings {
		var pairs [][2]string
		for i := range each {
			for k := range keys {
				key, body := fmt.Sprint("key", k), fmt.Sprintf("%d/%d", n, i)
				pairs = append(pairs, [2]string{key, body})
				want[key] += body + " "
			}
		}
		out, err := fireWithin(t, h, kinesis(pairs...))
		if err != nil || out.Status != capture.StatusOK || len(out.Records) != keys*each || out.Records["1"] != capture.Acked {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(h.senders.idle) != 1 {
		t.Errorf("%d connections for one firing after the other", len(h.senders.idle))
	}
}

func TestABatchThatIsTooLargeForOneMessageIsSentInOrder(t *testing.T) {
	connection := peers.EventHubs(t, "clicks", 2)
	h, board := newHub(t, connection)
	var order []byte
	read(t, connection, func(_ string, e *azeventhubs.ReceivedEventData) {
		order = append(order, e.Body[0]) // of one partition
		tell(board, e, capture.StatusOK)
	})
	var pairs [][2]string
	for _, c := range "abcde" {
		pairs = append(pairs, [2]string{"k", strings.Repeat(string(c), 400_000)})
	}
	out, err := fireWithin(t, h, kinesis(pairs...))
	if err != nil || out.Status != capture.StatusOK || string(order) != "abcde" {
		t.Errorf("%q, %+v, %v", order, out, err)
	}
}

func TestTheFateOfEachRecordIsWhatTheBoardIsTold(t *testing.T) {
	connection := peers.EventHubs(t, "clicks", 1)
	h, board := newHub(t, connection)
	read(t, connection, func(_ string, e *azeventhubs.ReceivedEventData) {
		if strings.Contains(string(e.Body), "silent") {
			return
		}
		status := capture.StatusOK
		if strings.Contains(string(e.Body), "fail") {
			status = capture.StatusFunctionError
		}
		tell(board, e, status)
		tell(board, e, status) // twice, as some do
	})
	ok, fail := [2]string{"k", "fine"}, [2]string{"k", "fail"}
	out, err := fireWithin(t, h, kinesis(ok, fail, ok))
	want := map[string]capture.Fate{"1": capture.Acked, "2": capture.DeadLettered, "3": capture.Acked}
	if err != nil || out.Status != capture.StatusOK || !maps.Equal(out.Records, want) || out.Error.Message != "fail" {
		t.Errorf("one of three fails: %+v, %v", out, err)
	}
	out, err = fireWithin(t, h, kinesis(fail, fail))
	want = map[string]capture.Fate{"1": capture.DeadLettered, "2": capture.DeadLettered}
	if err != nil || out.Status != capture.StatusFunctionError || !maps.Equal(out.Records, want) {
		t.Errorf("all fail: %+v, %v", out, err)
	}
	arrived := make(chan struct{})
	read(t, connection, func(_ string, e *azeventhubs.ReceivedEventData) {
		if strings.Contains(string(e.Body), "silent") {
			close(arrived)
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-arrived
		cancel(errors.New("its time is over"))
	}()
	out, err = h.Fire(ctx, kinesis(ok, [2]string{"k", "silent"}))
	if err == nil || !strings.Contains(err.Error(), "its time is over: nobody told what became of") ||
		!strings.Contains(err.Error(), "record 2") {
		t.Errorf("nobody tells of one: %+v, %v", out, err)
	}
}

// A proxy stands between a target and a hub, and counts connections.
func proxy(t *testing.T, connection string) (through string, connections func() int) {
	t.Helper()
	props, err := azeventhubs.ParseConnectionString(connection)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	n := 0
	var copies sync.WaitGroup
	copies.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", props.FullyQualifiedNamespace)
			if err != nil {
				t.Error(err)
				client.Close()
				return
			}
			mu.Lock()
			n++
			open = append(open, client, server)
			mu.Unlock()
			copies.Go(func() { _, _ = io.Copy(server, client); server.Close() })
			copies.Go(func() { _, _ = io.Copy(client, server); client.Close() })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		copies.Wait()
	})
	return strings.Replace(connection, props.FullyQualifiedNamespace, listener.Addr().String(), 1), func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// TestABatchWhoseAnswerIsLostIsNotSentAgain has the service keep a batch and end the link in the place of saying so:
// the SDK by itself sends it a second time then.
func TestABatchWhoseAnswerIsLostIsNotSentAgain(t *testing.T) {
	connection := peers.EventHubs(t, "clicks", 1)
	through, connections := proxy(t, connection)
	h, board := newHub(t, through)
	var mu sync.Mutex
	seen := make(map[string]int)
	read(t, connection, func(_ string, e *azeventhubs.ReceivedEventData) {
		mu.Lock()
		seen[string(e.Body)]++
		mu.Unlock()
		tell(board, e, capture.StatusOK)
	})
	for n, body := range []string{"before", "detach!", "after", "detach! again", "last"} {
		out, err := fireWithin(t, h, kinesis([2]string{"k", body}))
		want := capture.StatusOK
		if strings.HasPrefix(body, "detach!") {
			want = capture.StatusTransport
		}
		if err != nil || out.Status != want {
			t.Errorf("%d %s: %+v, %v", n, body, out, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := map[string]int{"before": 1, "detach!": 1, "after": 1, "detach! again": 1, "last": 1}
	if !maps.Equal(seen, want) {
		t.Errorf("arrived %v", seen)
	}
	if n := connections(); n != 3 {
		t.Errorf("%d connections, want one and one after each that broke", n)
	}
}

func TestWhatIsSurelyNotSentIsToldApart(t *testing.T) {
	connection := peers.EventHubs(t, "clicks", 1)
	inv := kinesis([2]string{"k", "a"})
	h, _ := newHub(t, connection)
	var throttled *replay.ThrottledError
	if _, err := fireWithin(t, h, kinesis([2]string{"k", "busy!"})); !errors.As(err, &throttled) ||
		throttled.Outcome.Status != capture.StatusThrottled {
		t.Errorf("a hub that is busy: %v", err)
	}
	for name, wrong := range map[string]string{
		"a key that is not known": connection + ";SharedAccessKeyName=wrong",
		"a hub that is not there": connection + ";EntityPath=none",
	} {
		h, err := NewEventHub(EventHubOptions{Connection: wrong, Board: completion.NewBoard(), Name: map[bool]string{
			true: "", false: "clicks"}[strings.Contains(wrong, "EntityPath")]})
		if err != nil {
			t.Fatal(err)
		}
		var setup *replay.SetupError
		if out, err := fireWithin(t, h, inv); !errors.As(err, &setup) || strings.Contains(err.Error(), "SharedAccess") {
			t.Errorf("%s: %+v, %v", name, out, err)
			if out != nil {
				t.Error(out.Error)
			}
		}
		h.Close() //nolint:errcheck // it never fails
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	h, _ = newHub(t, "Endpoint=sb://"+listener.Addr().String()+
		";SharedAccessKeyName=a;SharedAccessKey=hush;UseDevelopmentEmulator=true")
	out, err := fireWithin(t, h, inv)
	if err != nil || out.Status != capture.StatusTransport || strings.Contains(out.Error.Message, "hush") {
		t.Errorf("a namespace that is not there: %+v, %v", out, err)
	}
}
