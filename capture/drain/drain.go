package drain

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Counts say what became of all deliveries: Received is the sum of Recorded, Redelivered, Refused and Left.
type Counts struct {
	Received int64 `json:"received"`
	// Recorded are on disk.
	Recorded int64 `json:"recorded"`
	// Redelivered came again: they were recorded before, or held.
	Redelivered int64 `json:"redelivered"`
	// Refused could not be used. They stay in the queue; one that comes again counts again.
	Refused int64 `json:"refused"`
	// Left were given back to the queue, for the run ended.
	Left int64 `json:"left"`
	// Deleted are those that were deleted from the queue, also for an earlier run.
	Deleted int64 `json:"deleted"`
	// FailedDeletes are deletions that were given up. Such a message comes again, and is recognised.
	FailedDeletes int64 `json:"failedDeletes"`
}

// Run drains a queue until its context ends, which is no error, or MaxMessages or Idle say so. It then stops to
// receive, records and deletes what it has, and gives the rest back to the queue, for which it takes Grace at most
// beside the time that the disk takes.
//
// It goes on through failures of the network and of SQS, as long as they last, and tells Logf of them. It ends with
// an error when a request is refused (no permission, no such queue), or when Handle, Sync or Known fail; nothing is
// deleted then that is not on disk.
func Run(ctx context.Context, o Options) (Counts, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Counts{}, err
	}
	d := &drainer{
		Options: o, window: time.NewTimer(o.BatchWindow),
		held: held{byID: make(map[string]*hold), settled: time.Now()},
	}
	d.window.Stop()
	err = d.run(ctx)
	d.counts.Deleted, d.counts.FailedDeletes = d.deleted.Load(), d.failedDeletes.Load()
	return d.counts, err
}

// A drainer is one run. But for what is said to be shared, its fields belong to the goroutine of run.
type drainer struct {
	Options
	counts Counts

	batch   []types.Message
	bytes   int
	window  *time.Timer // runs while a batch waits for more
	written []*hold     // handled, and not yet synced
	since   time.Time   // when the first of them was handled
	deletes chan<- []*hold

	held                   held // shared
	deleted, failedDeletes atomic.Int64
	trouble                trouble // shared
	stop                   context.CancelCauseFunc
}

func (d *drainer) run(ctx context.Context) error {
	receiving, stop := context.WithCancelCause(ctx)
	d.stop = stop
	// What was received is seen to also after ctx ended, and what a request that is cut off received is out of reach.
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	polling, endPolling := context.WithCancel(work)
	defer endPolling()

	received, deletes := make(chan delivery, d.Receivers), make(chan []*hold, 100)
	d.deletes = deletes
	var receivers, deleters, others sync.WaitGroup
	for range d.Receivers {
		receivers.Go(func() { d.receive(receiving, polling, received) })
	}
	for range 3 {
		deleters.Go(func() {
			for group := range deletes {
				d.delete(work, group)
			}
		})
	}
	others.Go(func() {
		receivers.Wait()
		endPolling()
		close(received)
	})
	others.Go(func() { d.keep(work) })
	others.Go(func() {
		<-receiving.Done()
		sleep(polling, lastPoll)
		endPolling()
		sleep(work, d.Grace)
		endWork()
	})

	err := d.loop(receiving, work, received)
	stop(err)
	err = d.finish(work, received, err)
	close(deletes)
	deleters.Wait()
	d.giveBack(context.WithoutCancel(ctx))
	if err != nil && work.Err() != nil && errors.Is(err, context.Canceled) {
		d.Logf("%s: not all that was received could be recorded within %s: the rest stays in the queue",
			d.Queue.Name, d.Grace)
		err = nil
	}
	endWork()
	others.Wait()
	if cause := context.Cause(receiving); err == nil && cause != context.Canceled && cause != context.Cause(ctx) {
		err = cause
	}
	return err
}

// loop records what is received until it is to end. An error is one that nothing more can be recorded after.
func (d *drainer) loop(receiving, work context.Context, received <-chan delivery) error {
	for {
		var err error
		select {
		case got := <-received:
			err = d.take(work, got)
			if err == nil && got.received() == 0 && d.isIdle() {
				return nil
			}
		case <-d.window.C:
			err = d.closeBatch(work)
		case <-receiving.Done():
			return nil
		}
		many := len(d.written) >= maxUnsynced || time.Since(d.since) > maxUnsyncedFor
		if err == nil && (many || len(received) == 0) {
			err = d.commit()
		}
		if err != nil || d.MaxMessages > 0 && d.counts.Recorded >= d.MaxMessages {
			return err
		}
	}
}

// Messages are synced to disk in groups: when no more are waiting, but at the latest when there are so many or the
// first of them is so old.
const (
	maxUnsynced    = 1000
	maxUnsyncedFor = 250 * time.Millisecond
)

// take puts what was received into batches, and those that are complete into the recording.
func (d *drainer) take(work context.Context, got delivery) error {
	d.count(got)
	d.deleteAll(got.again)
	for _, m := range got.fresh {
		if d.isEnough() {
			if err := d.closeBatch(work); err != nil {
				return err
			}
			if d.isEnough() {
				break // it is held, and what is held at the end is given back
			}
		}
		size := d.Size(m)
		if len(d.batch) > 0 && d.BatchBytes > 0 && d.bytes+size > d.BatchBytes {
			if err := d.closeBatch(work); err != nil {
				return err
			}
		}
		if len(d.batch) == 0 && d.BatchWindow > 0 {
			d.window.Reset(d.BatchWindow)
		}
		d.batch = append(d.batch, m)
		d.bytes += size
		if len(d.batch) >= d.BatchSize {
			if err := d.closeBatch(work); err != nil {
				return err
			}
		}
	}
	if d.BatchWindow <= 0 || d.isEnough() {
		return d.closeBatch(work)
	}
	return nil
}

// isEnough reports whether MaxMessages will be recorded without any more, if none of the open batch is refused.
func (d *drainer) isEnough() bool {
	return d.MaxMessages > 0 && d.counts.Recorded+int64(len(d.written)+len(d.batch)) >= d.MaxMessages
}

func (d *drainer) count(got delivery) {
	d.counts.Received += int64(got.received())
	d.counts.Redelivered += int64(len(got.again) + got.known)
}

const toldRefusals = 10 // of them; the rest is counted

// closeBatch hands the open batch to the handler.
func (d *drainer) closeBatch(work context.Context) error {
	d.window.Stop()
	if len(d.batch) == 0 {
		return nil
	}
	batch := d.batch
	d.batch, d.bytes = nil, 0
	refusals, err := d.Handle(work, batch)
	if err != nil {
		return err
	}
	refused := make(map[string]bool, len(refusals))
	for _, r := range refusals {
		refused[r.MessageID] = true
		if d.counts.Refused+int64(len(refused)) <= toldRefusals {
			d.Logf("message %s stays in %s: %v", r.MessageID, d.Queue.Name, r.Err)
		}
	}
	if len(d.written) == 0 {
		d.since = time.Now()
	}
	for _, m := range batch {
		one := d.held.get(*m.MessageId)
		if refused[one.id] {
			d.counts.Refused++
			d.held.drop(one, "")
			continue
		}
		d.written = append(d.written, one)
	}
	return nil
}

// commit has what was written on disk, and then deleted.
func (d *drainer) commit() error {
	if len(d.written) == 0 {
		return nil
	}
	if err := d.Sink.Sync(); err != nil {
		return err
	}
	done := d.written
	d.written = nil
	d.counts.Recorded += int64(len(done))
	d.held.setRecorded(done)
	for _, one := range done {
		if err := d.Known.Add(one.id); err != nil {
			return err
		}
	}
	d.deleteAll(done)
	return nil
}

// deleteAll has recorded messages deleted. It waits while the deletions are far behind.
func (d *drainer) deleteAll(holds []*hold) {
	for len(holds) > 0 {
		n := min(perRequest, len(holds))
		d.deletes <- holds[:n:n]
		holds = holds[n:]
	}
}

// finish sees to what was received when the loop ended, with err or without. What was written before an error is
// recorded still, if the disk lets it.
func (d *drainer) finish(work context.Context, received <-chan delivery, err error) error {
	for got := range received {
		if err == nil {
			err = d.take(work, got)
		} else {
			d.count(got)
		}
	}
	if err == nil {
		err = d.closeBatch(work)
	}
	if cerr := d.commit(); err == nil {
		err = cerr
	}
	return err
}

func (d *drainer) isIdle() bool {
	since, idle := d.held.idleSince()
	return d.Idle > 0 && idle && len(d.batch) == 0 && time.Since(since) >= d.Idle
}
