package s3tap

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/capture"
	"tandem/capture/lambdaevent"
)

// capturing is one call of [Drain] or [List]. Only one goroutine at a time records and counts; any may pin.
type capturing struct {
	opts   Options
	report *Report
	told   map[Reason]bool // the user knows that this occurs
}

func newCapturing(opts Options) (*capturing, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &capturing{opts: opts.withDefaults(), report: newReport(), told: make(map[Reason]bool)}, nil
}

// A job is an invocation in the making.
type job struct {
	message message
	source  string
	id      string        // of the message in the queue
	done    chan struct{} // closed when all objects were tried

	invocation string // its ID, "" for any

	// What follows is there when done is closed.
	objects []capture.Object
	missing []missing
	err     error
}

// missing is an object whose bytes cannot be had.
type missing struct {
	record lambdaevent.S3Record
	reason Reason
}

func newJob(m message, source string) *job {
	return &job{message: m, source: source, done: make(chan struct{})}
}

// fetch pins the objects of j.
func (c *capturing) fetch(ctx context.Context, j *job) {
	defer close(j.done)
	for _, r := range j.message.records {
		if c.opts.NoObjects || !j.message.hasBytes(r) {
			continue
		}
		o, reason, err := c.pin(ctx, r)
		switch {
		case err != nil:
			j.err = err
			return
		case reason != "":
			j.missing = append(j.missing, missing{r, reason})
		default:
			j.objects = append(j.objects, *o)
		}
	}
}

// each fetches the jobs that produce makes, some at once, and hands them on in the order in which they were made. It
// ends with the first error of either.
func (c *capturing) each(ctx context.Context, produce func(context.Context, func(*job) error) error,
	take func(*job) error) error {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *job)
	made := make(chan *job, 4*c.opts.Fetches) // so that one large object does not keep all others waiting
	g.Go(func() error {
		defer close(todo)
		defer close(made)
		return produce(ctx, func(j *job) error {
			for _, to := range []chan<- *job{made, todo} {
				select {
				case to <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range c.opts.Fetches {
		g.Go(func() error {
			for j := range todo {
				c.fetch(ctx, j)
			}
			return nil
		})
	}
	g.Go(func() error {
		for j := range made {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := take(j); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// record writes the invocation of a job that has no error, and counts it.
func (c *capturing) record(j *job) error {
	if err := c.checkAccess(j); err != nil {
		return err
	}
	inv := &capture.Invocation{
		ID: j.invocation, Function: c.opts.Function, Source: j.source, Event: j.message.event, Objects: j.objects,
		Time: firstTime(j.message.records),
	}
	inv.Trigger, inv.Format = capture.Detect(inv.Event)
	if err := c.opts.Sink.Write(inv); err != nil {
		return fmt.Errorf("record a notification of %s: %w", j.source, err)
	}
	c.report.Recorded++
	for _, o := range j.objects {
		c.report.Objects.Pinned++
		c.report.Objects.Bytes += o.Size
	}
	for _, m := range j.missing {
		c.report.Objects.Missing[m.reason]++
		if !c.told[m.reason] {
			c.told[m.reason] = true
			c.opts.Logf("object %s of bucket %s is recorded without its bytes: %s; others like it are only counted",
				m.record.Key, m.record.Bucket, m.reason)
		}
	}
	return nil
}

// checkAccess returns an error when the first objects are denied: then all may be, and a tap would be emptied of events
// that cannot be replayed. Once one was read, a denial is that object's own.
func (c *capturing) checkAccess(j *job) error {
	if c.report.Objects.Pinned > 0 || len(j.objects) > 0 {
		return nil
	}
	for _, m := range j.missing {
		if m.reason == Denied {
			return fmt.Errorf("read object %s of bucket %s: access denied, and no other object was read before: it takes "+
				"s3:GetObject, and s3:ListBucket for S3 to tell objects that are gone from those that are denied; "+
				"--no-objects records events alone", m.record.Key, m.record.Bucket)
		}
	}
	return nil
}

func firstTime(records []lambdaevent.S3Record) time.Time {
	for _, r := range records {
		if !r.Time.IsZero() {
			return r.Time
		}
	}
	return time.Time{}
}
