package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tandem/capture"
)

func TestLanesOf(t *testing.T) {
	const arn = "arn:aws:sqs:eu-west-1:1:orders.fifo"
	tests := []struct {
		name, event string
		trigger     capture.Trigger
		want        []string
	}{
		{"HTTP has no order", `{"Records":[{"s3":{"object":{"key":"k"}}}]}`, capture.TriggerHTTP, nil},
		{"a standard queue has no order", `{"Records":[{"eventSourceARN":"` + arn + `","attributes":{}}]}`,
			capture.TriggerSQS, nil},
		{"each group is a lane, once", `{"Records":[
			{"eventSourceARN":"` + arn + `","attributes":{"MessageGroupId":"b"}},
			{"eventSourceARN":"` + arn + `","attributes":{"MessageGroupId":"a"}},
			{"eventSourceARN":"` + arn + `","attributes":{"MessageGroupId":"b"}}]}`,
			capture.TriggerSQS, []string{"sqs:" + arn + "/b", "sqs:" + arn + "/a"}},
		{"keys are decoded", `{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"a+b%2Bc/%C3%A9"}}}]}`,
			capture.TriggerS3, []string{"s3:b/a b+c/é"}},
		{"a key that cannot be decoded is still a lane", `{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"%zz"}}}]}`,
			capture.TriggerS3, []string{"s3:b/%zz"}},
		{"an event of another form has no lanes", `{"Records":"none"}`, capture.TriggerS3, nil},
		{"a shard is a lane, whatever its keys", `{"Records":[
			{"eventSource":"aws:kinesis","eventID":"shardId-0:1","eventSourceARN":"s","kinesis":{"partitionKey":"a"}},
			{"eventSource":"aws:kinesis","eventID":"shardId-0:2","eventSourceARN":"s","kinesis":{"partitionKey":"b"}}]}`,
			capture.TriggerOther, []string{"kinesis:s/shardId-0"}},
		{"SNS has no order", `{"Records":[{"EventSource":"aws:sns","Sns":{}}]}`, capture.TriggerOther, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, format := capture.Detect([]byte(tt.event))
			got := LanesOf(&capture.Invocation{Trigger: tt.trigger, Format: format, Event: []byte(tt.event)})
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// laneWatch checks that shots of one lane are fired one after the other and in order.
type laneWatch struct {
	mu   sync.Mutex
	busy map[string]bool
	last map[string]int64
	errs []error
}

func (w *laneWatch) begin(s *shot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lane := range s.lanes {
		if w.busy[lane] {
			w.errs = append(w.errs, fmt.Errorf("%d was fired while lane %s was busy", s.n, lane))
		}
		if last, ok := w.last[lane]; ok && last > s.n {
			w.errs = append(w.errs, fmt.Errorf("%d was fired after %d in lane %s", s.n, last, lane))
		}
		w.busy[lane], w.last[lane] = true, s.n
	}
}

func (w *laneWatch) end(s *shot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lane := range s.lanes {
		w.busy[lane] = false
	}
}

func TestScheduleKeepsTheOrderOfLanesAndFiresAllOnce(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		shots := make([]*shot, rnd.IntN(300))
		laneCount, workers := 1+rnd.IntN(20), 1+rnd.IntN(8)
		for i := range shots {
			s := &shot{n: int64(i), seq: int64(i), inv: &capture.Invocation{Event: make([]byte, rnd.IntN(100))}}
			for lane := range laneCount {
				if rnd.IntN(laneCount*2) < 2 {
					s.lanes = append(s.lanes, fmt.Sprint(lane))
				}
			}
			shots[i] = s
		}
		s := &schedule{
			lanes: make(lanes), maxInFlight: workers, maxHeld: 1 + rnd.IntN(40), maxBytes: 1 + rnd.Int64N(1000),
		}
		watch := &laneWatch{busy: make(map[string]bool), last: make(map[string]int64)}
		fired := make([]int, len(shots))

		feed, work, e := make(chan []*shot), make(chan *shot), engineOf(s)
		var group sync.WaitGroup
		group.Go(func() {
			defer close(feed)
			for batch := range slices.Chunk(shots, 1+rnd.IntN(40)) {
				feed <- batch
			}
		})
		for range workers {
			group.Go(func() {
				for sh := range work {
					for sh != nil {
						watch.begin(sh)
						fired[sh.n]++
						watch.end(sh)
						sh, _ = e.done(t.Context(), sh)
					}
				}
			})
		}
		err := e.dispatch(t.Context(), t.Context(), feed, work)
		group.Wait()
		if err := errors.Join(append(watch.errs, err)...); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for n, times := range fired {
			if times != 1 {
				t.Fatalf("seed %d: %d was fired %d times", seed, n, times)
			}
		}
		if len(s.lanes) != 0 || s.held != 0 || s.bytes != 0 || s.inFlight != 0 || s.blocked() != 0 {
			t.Fatalf("seed %d: left over: %+v", seed, s)
		}
	}
}

func TestScheduleReadsAheadWithinBounds(t *testing.T) {
	tests := []struct {
		name      string
		eventSize int
		s         schedule
		want      int
	}{
		{"by number", 1, schedule{maxHeld: 10, maxBytes: 1 << 20}, 10},
		{"by bytes", 100, schedule{maxHeld: 1000, maxBytes: 450}, 5},
		{"one event may be larger than the bound", 1000, schedule{maxHeld: 1000, maxBytes: 10}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				tt.s.lanes, tt.s.maxInFlight = make(lanes), 1
				feed, work := make(chan []*shot), make(chan *shot)
				read := 0
				var group sync.WaitGroup
				group.Go(func() {
					for {
						sh := &shot{inv: &capture.Invocation{Event: make([]byte, tt.eventSize)}, lanes: []string{"slow"}}
						select {
						case feed <- []*shot{sh}:
							read++
						case <-ctx.Done():
							return
						}
					}
				})
				group.Go(func() {
					<-work // and it is never done
				})
				group.Go(func() {
					if err := engineOf(&tt.s).dispatch(ctx, ctx, feed, work); ctx.Err() == nil {
						t.Errorf("ended early: %v", err)
					}
				})
				synctest.Wait()
				if read != tt.want {
					t.Errorf("read %d ahead, want %d", read, tt.want)
				}
				cancel()
				group.Wait()
			})
		})
	}
}

func TestAWaitingLaneHoldsNoSlot(t *testing.T) {
	s := &schedule{lanes: make(lanes), maxInFlight: 10, maxHeld: 100, maxBytes: 1 << 20}
	seq := int64(0)
	add := func(lanes ...string) *shot {
		seq++
		sh := &shot{seq: seq, inv: &capture.Invocation{}, lanes: lanes}
		s.add(0, sh)
		return sh
	}
	next := func(want *shot, why string) {
		t.Helper()
		if got, _ := s.next(0); got != want {
			t.Fatal(why)
		} else if got != nil {
			s.fire(0, got)
		}
	}
	first, second, both, last, free := add("a"), add("a"), add("a", "b"), add("b"), add()
	if s.blocked() != 3 {
		t.Fatalf("%d are blocked, not 3", s.blocked())
	}
	next(first, "next is not the first of its lane")
	next(free, "what has no lane waits behind what has one")
	s.done(0, first)
	next(second, "the second is not ready when the first is done")
	s.done(0, second)
	next(both, "a shot of two lanes is not ready when both are free")
	next(nil, "a lane is entered while one of its shots is in flight")
	s.done(0, both)
	next(last, "the last shot is not ready")
}

// engineOf is an engine that has a schedule and nothing else.
func engineOf(s *schedule) *engine {
	opts := &Options{Progress: new(Progress), coarse: true}
	return &engine{
		opts: opts, schedule: s, warmUp: warmUp{over: true}, start: time.Now(), nudge: make(chan struct{}, 1),
	}
}
