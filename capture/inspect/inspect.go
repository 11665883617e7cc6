package inspect

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tandem/capture"
	"tandem/capture/importer"
	"tandem/capture/journal"
	"tandem/capture/keylog"
)

// Contents is what is in a recording. Its JSON form is a promise.
type Contents struct {
	Invocations int64                     `json:"invocations"`
	Functions   map[string]int64          `json:"functions"`
	Triggers    map[capture.Trigger]int64 `json:"triggers"`
	Formats     map[capture.Format]int64  `json:"formats"`
	Shapes      int                       `json:"shapes"`
	From        time.Time                 `json:"from,omitzero"`
	To          time.Time                 `json:"to,omitzero"`
	// Complete is explained at [capture.Recording.Complete].
	Complete bool `json:"complete"`

	// Outcomes counts by status. What was not recorded is [capture.StatusUnknown].
	Outcomes map[capture.Status]int64 `json:"outcomes"`
	// ShapesByFunction counts invocations by function and shape.
	ShapesByFunction map[string]map[string]int64 `json:"shapesByFunction"`
	Sizes            Sizes                       `json:"eventBytes"`
	// Histogram has invocations by time. It is nil when none has a time.
	Histogram *Histogram `json:"histogram,omitempty"`
	// Gaps are the longest times without an invocation, the longest first. Those shorter than GapResolutionMS are not
	// looked for.
	Gaps            []Gap      `json:"gaps"`
	GapResolutionMS int64      `json:"gapResolutionMs"`
	Duplicates      Duplicates `json:"duplicates"`
	Objects         int64      `json:"objects"` // pinned
	Lost            int64      `json:"lost"`    // seen by the capture, which could not record them
	// Notices say what was cut off or skipped.
	Notices []string `json:"notices,omitempty"`
}

// Sizes are those of events, in bytes. Percentiles are those of the nearest rank, to three digits.
type Sizes struct {
	Min int64 `json:"min"`
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// Duplicates are invocations whose event is that of an earlier invocation of the same function, as told by
// [importer.Identity]: the source delivered it again.
type Duplicates struct {
	Invocations int64 `json:"invocations"`
	// Examples are the IDs of some of them, in the order of the recording.
	Examples []string `json:"examples,omitempty"`
}

// Read reads all of a recording, at least twice. A recording that is not sound is an error, as for
// [capture.Recording.Verify].
func Read(ctx context.Context, rec *capture.Recording) (*Contents, error) {
	counts, err := rec.Verify(ctx)
	if err != nil {
		return nil, err
	}
	c := newCensus()
	c.Objects, c.Lost = counts.Objects, counts.Lost
	var events keylog.Duplicates
	defer events.Close()
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		c.add(inv)
		if identity := importer.Identity(inv.Event, inv.Format); identity != "" {
			if err := events.Add(inv.Function+"\x00"+identity, uint64(c.Invocations)); err != nil {
				return nil, err
			}
		}
	}
	contents := c.finish(rec)
	contents.Duplicates, err = repeated(ctx, rec, &events)
	return contents, err
}

// repeated counts repeated deliveries. It reads the recording again to tell the IDs of some.
func repeated(ctx context.Context, rec *capture.Recording, events *keylog.Duplicates) (Duplicates, error) {
	found, err := events.Find(ctx)
	d := Duplicates{Invocations: found.Count}
	if err != nil || found.Count == 0 {
		return d, err
	}
	n := uint64(0)
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return d, err
		}
		n++
		if n == found.Examples[len(d.Examples)].Again {
			d.Examples = append(d.Examples, inv.ID)
		}
		if len(d.Examples) == len(found.Examples) {
			break
		}
	}
	return d, nil
}

// A census counts what goes by.
type census struct {
	Contents
	shapes map[string]struct{}
	sizes  *hdrhistogram.Histogram
	times  timeline
}

func newCensus() *census {
	return &census{
		Contents: Contents{
			Functions: make(map[string]int64), Triggers: make(map[capture.Trigger]int64),
			Formats: make(map[capture.Format]int64), Outcomes: make(map[capture.Status]int64),
			ShapesByFunction: make(map[string]map[string]int64), Gaps: []Gap{},
		},
		shapes: make(map[string]struct{}),
		sizes:  hdrhistogram.New(1, journal.MaxLine, 3),
	}
}

func (c *census) add(inv *capture.Invocation) {
	c.Invocations++
	c.Functions[inv.Function]++
	c.Triggers[inv.Trigger]++
	c.Formats[inv.Format]++
	status := capture.StatusUnknown
	if inv.Outcome != nil {
		status = inv.Outcome.Status
	}
	c.Outcomes[status]++
	shape := capture.Shape(inv.Event)
	c.shapes[shape] = struct{}{}
	if c.ShapesByFunction[inv.Function] == nil {
		c.ShapesByFunction[inv.Function] = make(map[string]int64)
	}
	c.ShapesByFunction[inv.Function][shape]++
	c.addSize(int64(len(inv.Event)))
	if !inv.Time.IsZero() {
		c.times.add(inv.Time.UTC())
	}
}

func (c *census) addSize(n int64) {
	if c.Invocations == 1 || n < c.Sizes.Min {
		c.Sizes.Min = n
	}
	c.Sizes.Max = max(c.Sizes.Max, n)
	// An event is part of a line, so it cannot be out of the histogram's range.
	_ = c.sizes.RecordValue(n)
}

func (c *census) finish(rec *capture.Recording) *Contents {
	c.Shapes = len(c.shapes)
	c.Sizes.P50 = min(c.sizes.ValueAtQuantile(50), c.Sizes.Max)
	c.Sizes.P99 = min(c.sizes.ValueAtQuantile(99), c.Sizes.Max)
	c.From, c.To = c.times.span()
	c.Histogram = c.times.histogram(maxBins)
	c.Gaps = append(c.Gaps, c.times.gaps(maxGaps)...)
	c.GapResolutionMS = c.times.resolution().Milliseconds()
	c.Complete, c.Notices = rec.Complete(), rec.Notices()
	return &c.Contents
}
