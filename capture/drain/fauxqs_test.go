//go:build peers

package drain_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture/drain"
	"tandem/fixtures/peers"
)

// TestDrain has one server for all of its parts; each has a queue of its own.
func TestDrain(t *testing.T) {
	url := peers.Fauxqs(t)
	var parts sync.WaitGroup // more at once than there are processors, as they wait for the server
	for name, test := range map[string]func(*testing.T, string){
		"a queue is emptied into the recording":           testEmptied,
		"a FIFO queue keeps the order of each group":      testFIFO,
		"requests that fail lose and double nothing":      testFaults,
		"messages that come again and again are one":      testDuplicates,
		"a slow disk keeps messages from others":          testSlowDisk,
		"two drains share a queue":                        testTwoDrains,
		"deletions that fail are counted":                 testFailedDeletes,
		"what is refused stays in the queue":              testRefused,
		"no more than was asked for is recorded":          testMaxMessages,
		"what is refused does not hold up the others":     testRefusedCount,
		"the end of the context ends an open batch":       testCancel,
		"a handler that fails deletes nothing":            testHandlerFails,
		"a disk that fails deletes nothing":               testDiskFails,
		"a request that is not permitted ends the run":    testDenied,
		"a batch ends at its size, its bytes, its window": testBatches,
		"what was recorded before is deleted only":        testKnown,
		"a queue is found by URL, ARN and name":           testFind,
	} {
		parts.Go(func() { t.Run(name, func(t *testing.T) { test(t, url) }) })
	}
	parts.Wait()
}

func testEmptied(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "emptied", nil)
	send(t, client, q, 0, 1005)
	var r recorder
	counts, err := run(t, t.Context(), options(t, client, q, &r))
	if err != nil {
		t.Fatal(err)
	}
	checkNumbers(t, r.numbers, 1005, false)
	if want := (drain.Counts{Received: 1005, Recorded: 1005, Deleted: 1005}); counts != want {
		t.Errorf("%+v", counts)
	}
	if visible, inFlight := waiting(t, client, q); visible+inFlight > 0 {
		t.Errorf("%d and %d are left", visible, inFlight)
	}
}

func testFIFO(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "ordered", fifo)
	if !q.FIFO {
		t.Fatalf("%+v", q)
	}
	send(t, client, q, 0, 200)
	var r recorder
	o := options(t, client, q, &r)
	o.BatchWindow = 20 * time.Millisecond // no batch of ten comes from seven groups with one message each in flight
	counts, err := run(t, t.Context(), o)
	if err != nil || counts.Recorded != 200 || counts.Deleted != 200 {
		t.Errorf("%+v, %v", counts, err)
	}
	checkNumbers(t, r.numbers, 200, true)
}

// unreliable is a network and a service that fail in all ways.
func unreliable(next http.Handler) http.Handler {
	rng, mu := rand.New(rand.NewPCG(1, 2)), sync.Mutex{}
	entry := regexp.MustCompile(`"Id":"(\d+)"`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		dice := rng.IntN(100)
		mu.Unlock()
		body := bodyOf(r)
		switch {
		case dice < 8:
			refuse(w, 500, "InternalFailure")
		case dice < 16:
			refuse(w, 400, "ThrottlingException")
		case dice < 20:
			panic(http.ErrAbortHandler)
		case dice < 26:
			done(next, r)
		case dice < 28:
			refuse(w, 403, "OverLimit")
		case dice < 30:
			refuse(w, 400, "KmsThrottled")
		case dice < 45 && strings.HasSuffix(operation(r), "Batch"): // fails for each entry
			var failed []string
			for _, id := range entry.FindAllStringSubmatch(body, -1) {
				failed = append(failed, `{"Id":"`+id[1]+`","Code":"InternalError","SenderFault":false}`)
			}
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = w.Write([]byte(`{"Successful":[],"Failed":[` + strings.Join(failed, ",") + `]}`))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func testFaults(t *testing.T, url string) {
	client, bad := newClient(t, url), newClient(t, intercept(t, url, unreliable))
	for _, q := range []drain.Queue{newQueue(t, client, "faults", nil), newQueue(t, client, "faults", fifo)} {
		n := 600
		if q.FIFO {
			n = 60 // as one that is held back holds its group back
		}
		send(t, client, q, 0, n)
		var r recorder
		o := options(t, bad, q, &r)
		o.Idle, o.MaxMessages, o.Visibility, o.Wait = 0, int64(n), time.Second, time.Second
		counts, err := run(t, t.Context(), o)
		if err != nil || counts.Recorded != int64(n) {
			t.Errorf("%s: %+v, %v", q.Name, counts, err)
		}
		checkNumbers(t, r.numbers, n, q.FIFO)
	}
}

// Each message is visible again at once, so it is delivered until it is deleted, and some deletions come too late.
func testDuplicates(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "duplicates", nil)
	const n = 40
	send(t, client, q, 0, n)
	received := make(chan struct{}, 10_000)
	again := newClient(t, intercept(t, url, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if operation(r) == "ReceiveMessage" {
				setBody(r, strings.Replace(bodyOf(r), `"VisibilityTimeout":30`, `"VisibilityTimeout":0`, 1))
				defer func() { received <- struct{}{} }()
			}
			next.ServeHTTP(w, r)
		})
	}))
	var r recorder
	syncs := 0
	r.onSync = func() error {
		if syncs++; syncs == 1 { // five receives of ten have some message twice
			for range 5 {
				<-received
			}
		}
		return nil
	}
	o := options(t, again, q, &r)
	o.MaxMessages, o.Idle = n, 0
	counts, err := run(t, t.Context(), o)
	if err != nil || counts.Redelivered == 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	checkNumbers(t, r.numbers, n, false)
}

func testSlowDisk(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "slow", nil)
	send(t, client, q, 0, 30)
	extended := make(chan struct{}, 1000)
	watched := newClient(t, intercept(t, url, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if operation(r) == "ChangeMessageVisibilityBatch" {
				extended <- struct{}{}
			}
		})
	}))
	var r recorder
	syncs := 0
	r.onSync = func() error {
		if syncs++; syncs == 1 { // slower than the visibility: all is extended three times
			for range 3 {
				<-extended
			}
		}
		return nil
	}
	o := options(t, watched, q, &r)
	o.Visibility = 2 * time.Second
	counts, err := run(t, t.Context(), o)
	if err != nil || counts.Recorded != 30 || counts.Left != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	checkNumbers(t, r.numbers, 30, false)
}

func testTwoDrains(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "two", nil)
	send(t, client, q, 0, 500)
	var recorders [2]recorder
	var both sync.WaitGroup
	for i := range recorders {
		both.Go(func() {
			if _, err := run(t, t.Context(), options(t, newClient(t, url), q, &recorders[i])); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	checkNumbers(t, append(recorders[0].numbers, recorders[1].numbers...), 500, false)
}

func testFailedDeletes(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "undeleted", nil)
	send(t, client, q, 0, 20)
	never := newClient(t, intercept(t, url, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if operation(r) == "DeleteMessageBatch" {
				refuse(w, 500, "InternalFailure")
				return
			}
			next.ServeHTTP(w, r)
		})
	}))
	var r recorder
	o := options(t, never, q, &r)
	counts, err := run(t, t.Context(), o)
	if err != nil || counts.FailedDeletes != 20 || counts.Recorded != 20 || counts.Deleted != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	if visible, inFlight := waiting(t, client, q); visible+inFlight != 20 {
		t.Errorf("%d and %d are left", visible, inFlight)
	}
}

func testRefused(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "refused", nil)
	send(t, client, q, 0, 25)
	var r recorder
	var said atomic.Int64
	o := options(t, client, q, &r)
	o.Logf = func(string, ...any) { said.Add(1) }
	o.Handle = func(ctx context.Context, batch []types.Message) ([]drain.Refusal, error) {
		var refusals []drain.Refusal
		batch = slices.DeleteFunc(slices.Clone(batch), func(m types.Message) bool {
			bad := strings.HasSuffix(*m.Body, "3")
			if bad {
				refusals = append(refusals, drain.Refusal{MessageID: *m.MessageId, Err: errors.New("not with a 3")})
			}
			return bad
		})
		_, err := r.handle(ctx, batch)
		return refusals, err
	}
	counts, err := run(t, t.Context(), o)
	if want := (drain.Counts{Received: 25, Recorded: 22, Refused: 3, Deleted: 22}); counts != want || err != nil {
		t.Errorf("%+v, %v", counts, err)
	}
	if visible, inFlight := waiting(t, client, q); visible+inFlight != 3 || said.Load() != 3 {
		t.Errorf("%d and %d are left, %d told", visible, inFlight, said.Load())
	}
}

// plenty are more messages than a drain receives at once. In an empty queue it would wait for more, and at its end
// hang up; the server would not notice, and take what was given back.
const plenty = 300

func testMaxMessages(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "max", nil)
	send(t, client, q, 0, plenty)
	var r recorder
	o := options(t, client, q, &r)
	o.MaxMessages = 37
	counts, err := run(t, t.Context(), o)
	if err != nil || counts.Recorded != 37 || counts.Deleted != 37 || len(r.numbers) != 37 {
		t.Errorf("%+v, %v", counts, err)
	}
	if visible, inFlight := waiting(t, client, q); visible != plenty-37 || inFlight != 0 {
		t.Errorf("%d can be received, %d are in flight", visible, inFlight)
	}
}

func testRefusedCount(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "some-refused", nil)
	send(t, client, q, 0, 38) // so that all that is held is needed
	var r recorder
	o := options(t, client, q, &r)
	o.MaxMessages, o.Idle, o.Visibility = 37, 0, time.Hour
	refused := false
	o.Handle = func(ctx context.Context, batch []types.Message) ([]drain.Refusal, error) {
		if refused {
			return r.handle(ctx, batch)
		}
		refused = true
		_, err := r.handle(ctx, batch[1:])
		return []drain.Refusal{{MessageID: *batch[0].MessageId, Err: errors.New("not one of ours")}}, err
	}
	counts, err := run(t, t.Context(), o)
	if err != nil || counts.Recorded != 37 || counts.Refused != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
}

func testCancel(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "cancelled", nil)
	send(t, client, q, 0, 12)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := newClient(t, intercept(t, url, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if operation(r) == "ReceiveMessage" {
				if visible, _ := waiting(t, client, q); visible == 0 { // all twelve were received
					cancel()
				}
			}
			next.ServeHTTP(w, r)
		})
	}))
	var r recorder
	o := options(t, watched, q, &r)
	o.BatchSize, o.BatchWindow, o.Idle, o.Receivers = 100, time.Hour, 0, 1
	counts, err := run(t, ctx, o)
	if want := (drain.Counts{Received: 12, Recorded: 12, Deleted: 12}); counts != want || err != nil {
		t.Errorf("%+v, %v", counts, err)
	}
	if visible, inFlight := waiting(t, client, q); visible+inFlight > 0 || !slices.Equal(r.batches, []int{12}) {
		t.Errorf("%d and %d are left, batches %v", visible, inFlight, r.batches)
	}
}

func testHandlerFails(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "unhandled", nil)
	send(t, client, q, 0, plenty)
	var r recorder
	o := options(t, client, q, &r)
	broken := errors.New("broken")
	o.Handle = func(ctx context.Context, batch []types.Message) ([]drain.Refusal, error) {
		if len(r.numbers) >= 20 {
			return nil, broken
		}
		return r.handle(ctx, batch)
	}
	counts, err := run(t, t.Context(), o)
	if !errors.Is(err, broken) || counts.Recorded != 20 || counts.Deleted != 20 {
		t.Errorf("%+v, %v", counts, err)
	}
	if visible, inFlight := waiting(t, client, q); visible != plenty-20 || inFlight != 0 {
		t.Errorf("%d can be received, %d are in flight", visible, inFlight)
	}
}

func testDiskFails(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "unsynced", nil)
	send(t, client, q, 0, plenty)
	full := errors.New("full")
	r := recorder{onSync: func() error { return full }}
	counts, err := run(t, t.Context(), options(t, client, q, &r))
	if !errors.Is(err, full) || counts.Recorded != 0 || counts.Deleted != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
	if visible, inFlight := waiting(t, client, q); visible != plenty || inFlight != 0 {
		t.Errorf("%d can be received, %d are in flight", visible, inFlight)
	}
}

func testDenied(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "denied", nil)
	send(t, client, q, 0, 15)
	for _, denied := range []string{"DeleteMessageBatch", "ReceiveMessage"} {
		client := newClient(t, intercept(t, url, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if operation(r) == denied {
					refuse(w, 400, "AccessDeniedException")
					return
				}
				next.ServeHTTP(w, r)
			})
		}))
		var r recorder
		o := options(t, client, q, &r)
		o.Idle = 0
		counts, err := run(t, t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "AccessDenied") || counts.Deleted > 0 {
			t.Errorf("%s: %+v, %v", denied, counts, err)
		}
	}
}

func testBatches(t *testing.T, url string) {
	client := newClient(t, url)
	for _, tc := range []struct {
		name string
		set  func(*drain.Options)
		ok   func(size int, last bool) bool
	}{
		{"a receive has ten", func(o *drain.Options) { o.BatchSize = 4 },
			func(n int, _ bool) bool { return n == 4 || n == 2 }},
		{"by size", func(o *drain.Options) { o.BatchSize, o.BatchWindow = 25, time.Hour },
			func(n int, last bool) bool { return n == 25 || last }},
		{"by bytes", func(o *drain.Options) { o.BatchSize, o.BatchWindow, o.BatchBytes = 25, time.Hour, 20 },
			func(n int, last bool) bool { return n >= 10 && n <= 20 || last }},
		{"larger than allowed", func(o *drain.Options) { o.BatchBytes = 1 },
			func(n int, _ bool) bool { return n == 1 }},
		{"by window", func(o *drain.Options) { o.BatchSize, o.BatchWindow = 1000, 10*time.Millisecond },
			func(n int, _ bool) bool { return n > 0 }},
	} {
		q := newQueue(t, client, "batches-"+strings.ReplaceAll(tc.name, " ", "-"), nil)
		send(t, client, q, 0, 60)
		var r recorder
		o := options(t, client, q, &r)
		o.MaxMessages = 60
		tc.set(&o)
		if counts, err := run(t, t.Context(), o); err != nil || counts.Recorded != 60 {
			t.Errorf("%s: %+v, %v", tc.name, counts, err)
		}
		for i, n := range r.batches {
			if !tc.ok(n, i == len(r.batches)-1) {
				t.Errorf("%s: batches %v", tc.name, r.batches)
			}
		}
		checkNumbers(t, r.numbers, 60, false)
	}
}

func testKnown(t *testing.T, url string) {
	client := newClient(t, url)
	q := newQueue(t, client, "known", nil)
	send(t, client, q, 0, 30)
	var r recorder
	o := options(t, client, q, &r)
	o.MaxMessages = 30
	kept := newClient(t, intercept(t, url, func(next http.Handler) http.Handler { // as a kill before the deletion
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if operation(r) == "DeleteMessageBatch" {
				refuse(w, 500, "InternalFailure")
				return
			}
			next.ServeHTTP(w, r)
		})
	}))
	o.Client, o.Visibility = kept, time.Second
	if _, err := run(t, t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.Client, o.MaxMessages, o.Idle = client, 0, 3*time.Second // longer than what is left stays invisible
	send(t, client, q, 30, 35)
	counts, err := run(t, t.Context(), o)
	if err != nil || counts.Recorded != 5 || counts.Redelivered < 30 || counts.Deleted != 35 {
		t.Errorf("%+v, %v", counts, err)
	}
	checkNumbers(t, r.numbers, 35, false)
}

func testFind(t *testing.T, url string) {
	client := newClient(t, url)
	dead := newQueue(t, client, "dead", nil)
	q := newQueue(t, client, "found", map[string]string{
		"RedrivePolicy":          `{"deadLetterTargetArn":"` + dead.ARN + `","maxReceiveCount":"4"}`,
		"MessageRetentionPeriod": "3600",
	})
	if q.Name != "found" || q.FIFO || q.Retention != time.Hour || q.DeadLetters != dead.ARN || q.MaxReceives != 4 ||
		drain.RegionOf(q.ARN) != "us-east-1" {
		t.Errorf("%+v", q)
	}
	for _, ref := range []string{q.URL, q.ARN, "found"} {
		if got, err := drain.Find(t.Context(), client, ref); err != nil || got != q {
			t.Errorf("%s: %+v, %v", ref, got, err)
		}
	}
	for _, ref := range []string{q.URL + "x", q.ARN + "x", "foundx", "arn:aws:sns:eu-west-1:1:t", "arn:"} {
		if got, err := drain.Find(t.Context(), client, ref); err == nil {
			t.Errorf("%s: %+v", ref, got)
		}
	}
}
