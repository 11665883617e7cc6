package eventhub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"tandem/capture"
)

func TestALedgerCoversWhatIsDoneWithAndNoMore(t *testing.T) {
	l := &ledger{saved: -1}
	var entries []*entry
	var open []bool
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		if len(entries) == 0 || random.IntN(3) > 0 {
			entries = append(entries, l.add(int64(len(entries)), fmt.Sprint(len(entries))))
			open = append(open, true)
		}
		if n := random.IntN(len(entries)); open[n] && random.IntN(2) == 0 {
			entries[n].release()
			open[n] = false
		}
		if i%7 > 0 {
			continue
		}
		want := -1
		for want+1 < len(open) && !open[want+1] {
			want++
		}
		got := -1
		if e := l.covered(); e != nil {
			got = int(e.sequence)
		}
		if got > want {
			t.Fatalf("the checkpoint passes %d, which is open, and goes to %d", want+1, got)
		}
		if got < want {
			t.Fatalf("the checkpoint stays at %d, and could be at %d", got, want)
		}
	}
}

func TestALedgerHoldsOnlyWhatIsOpen(t *testing.T) {
	l := &ledger{saved: -1}
	first := l.add(0, "0")
	for i := range 10_000 {
		l.add(int64(i+1), "").release()
	}
	if len(l.entries) > 20 {
		t.Errorf("%d entries", len(l.entries))
	}
	first.release()
	if e := l.covered(); e == nil || e.sequence != 10_000 {
		t.Errorf("covered %+v", e)
	}
}

// TestWaitingTakesNoMoreMemoryThanAllowed feeds invocations that never end, and some whose end has no event: a
// hundred thousand of them with TANDEM_SOAK.
func TestWaitingTakesNoMoreMemoryThanAllowed(t *testing.T) {
	const most = 200_000
	n := 3000
	if os.Getenv("TANDEM_SOAK") != "" {
		n = 100_000
	}
	o := newOffline(t, Options{Pattern: orderPattern, MaxPending: most, Known: 2000})
	for i := range n {
		id := fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", i)
		if i%3 == 0 {
			o.feed(t, records("object", "@"+id+" "+strings.ReplaceAll(succeeds, orderID, id)))
		} else {
			o.feed(t, records("pseudo", "@"+id+" "+details1, "@"+id+" "+logged))
		}
		if err := o.joiner.advance(time.Now()); err != nil {
			t.Fatal(err)
		}
		if o.joiner.size > most || len(o.joiner.pending) > most/overhead || len(o.from.entries) > 5*most/overhead {
			t.Fatalf("%d bytes in %d attempts, %d entries", o.joiner.size, len(o.joiner.pending), len(o.from.entries))
		}
	}
	f := o.end(t).Functions["process-order"]
	third := int64(n+2) / 3
	if f.Missing != third || f.Recorded != int64(n)-third || f.Unended != f.Recorded || len(o.sink.all) != n-int(third) {
		t.Errorf("function %+v", f)
	}
	if o.joiner.size != 0 || len(o.known.young)+len(o.known.old) > 2000 {
		t.Errorf("%d bytes are left, %d names known", o.joiner.size, len(o.known.young)+len(o.known.old))
	}
}

func TestAnAttemptWaitsForWhatMayStillCome(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name     string
		messages []string
		wait     time.Duration
	}{
		{"whole: for lines out of order", []string{details1, logged, succeeds}, 5 * time.Second},
		{"ended without an event: for the event", []string{details1, succeeds}, 2 * time.Minute},
		{"not ended: as long as it may run", []string{begins, details1, logged}, 35 * time.Minute},
	} {
		o := newOffline(t, Options{Pattern: orderPattern})
		r := &reader{opts: &o.opts, make: o.reader.make}
		e := o.from.add(0, "0")
		for _, f := range r.read(&event{body: []byte(records("text", tt.messages...))}) {
			if err := o.joiner.add(f.part, e, begin); err != nil {
				t.Fatal(err)
			}
		}
		for _, after := range []time.Duration{tt.wait - 1, tt.wait} {
			if err := o.joiner.advance(begin.Add(after)); err != nil {
				t.Fatal(err)
			}
			if waits := len(o.joiner.pending) == 1; waits != (after < tt.wait) || waits != (e.open == 2) {
				t.Errorf("%s: after %v it waits: %v; %d hold the event", tt.name, after, waits, e.open)
			}
		}
	}
}

func TestWhatComesLateIsTold(t *testing.T) {
	o := newOffline(t, Options{Pattern: orderPattern})
	o.feed(t, records("text", succeeds))
	if err := o.joiner.advance(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if f := o.report.Functions["process-order"]; f.Missing != 1 {
		t.Fatalf("function %+v", f)
	}
	o.feed(t, records("text", succeeds)) // again
	o.feed(t, records("text", details1, logged))
	report := o.end(t)
	f := report.Functions["process-order"]
	if f.Missing != 0 || f.Recorded != 1 || f.Invocations != 1 || f.Unended != 1 {
		t.Errorf("function %+v, %+v", f, report)
	}
}

func TestTheEventsOfALostPartitionAreLeftToItsNextReader(t *testing.T) {
	o := newOffline(t, Options{Pattern: orderPattern})
	o.feed(t, records("text", details1, logged))
	lost := o.from
	o.open("1", -1)
	other := strings.ReplaceAll(records("text", details1, logged), orderID, strings.ReplaceAll(orderID, "a", "b"))
	o.feed(t, other)
	if err := o.take(t.Context(), batch{ledger: lost.ledger, lost: true}); err != nil {
		t.Fatal(err)
	}
	if o.end(t); len(o.sink.all) != 1 || o.sink.all[0].ID == orderID {
		t.Errorf("recorded %v", o.sink.all)
	}
}

// TestWhatCouldNotBeRecordedIsNotPassed breaks the sink and the source of blobs.
func TestWhatCouldNotBeRecordedIsNotPassed(t *testing.T) {
	errBroken := errors.New("broken")
	for _, tt := range []struct {
		name string
		body string
		set  func(*offline)
	}{
		{"a whole invocation", lineOf("tandem-1"), func(o *offline) { o.opts.Sink = brokenSink{errBroken} }},
		{"one of several parts", records("text", details1, logged, succeeds), func(o *offline) {
			o.opts.Sink, o.opts.MaxPending = brokenSink{errBroken}, 1
		}},
		{"a blob that cannot be read", blobEvent, func(o *offline) { o.opts.Pin = brokenPinner{errBroken} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffline(t, Options{Pattern: orderPattern})
			o.feed(t, lineOf("tandem-0"))
			tt.set(o)
			err := o.take(t.Context(), batch{ledger: o.from.ledger, events: []*azeventhubs.ReceivedEventData{{
				EventData: azeventhubs.EventData{Body: []byte(tt.body)}, SequenceNumber: 1, EnqueuedTime: &enqueued,
			}}})
			if !errors.Is(err, errBroken) {
				t.Fatalf("error %v", err)
			}
			if e := o.from.covered(); e == nil || e.sequence != 0 {
				t.Errorf("the checkpoint would move to %+v", e)
			}
		})
	}
}

type brokenSink struct{ error }

func (s brokenSink) Write(*capture.Invocation) error { return s.error }
func (s brokenSink) Sync() error                     { return s.error }
func (s brokenSink) AddLost(int64)                   {}

type brokenPinner struct{ error }

func (p brokenPinner) Open(context.Context, string, string) (io.ReadCloser, error) {
	return nil, p.error
}
