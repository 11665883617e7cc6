package inspect

import (
	"cmp"
	"slices"
	"time"
)

// A Histogram is how many invocations there were in each stretch of time, all of one length.
type Histogram struct {
	From    time.Time `json:"from"` // where the first stretch begins
	WidthMS int64     `json:"widthMs"`
	Counts  []int64   `json:"counts"`
}

// A Gap is a time without an invocation, from one to the next.
type Gap struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds float64   `json:"seconds"`
}

const (
	maxBins  = 24 // of a histogram
	maxGaps  = 3
	fineBins = 4096 // of a timeline
)

// widths are how long a bin can be, in milliseconds. Each is a multiple of the one before, so that bins can be put
// together, and the longest makes few bins of all the years that RFC 3339 can write.
var widths = func() (all []int64) {
	const second, minute, hour, day = 1000, 60_000, 3_600_000, 86_400_000
	all = []int64{
		1, 5, 10, 50, 100, 500, second, 5 * second, 15 * second, 30 * second,
		minute, 5 * minute, 15 * minute, 30 * minute, hour, 3 * hour, 6 * hour, 12 * hour,
	}
	for days := int64(1); days <= 100_000; days *= 10 {
		all = append(all, days*day, 5*days*day)
	}
	return all
}()

// A timeline holds any number of times in fixed memory: it counts them in bins, which get longer when there would be
// too many of them. The zero value is empty.
type timeline struct {
	width int   // of a bin, as an index of widths
	base  int64 // the number of the first bin; bin 0 begins in 1970
	bins  []bin // from the earliest time to the latest, with empty ones between
}

// A bin is what happened in one stretch of time.
type bin struct {
	count       int64
	first, last time.Time
}

func (b *bin) merge(c bin) {
	switch {
	case c.count == 0:
		return
	case b.count == 0:
		*b = c
		return
	}
	b.count += c.count
	if c.first.Before(b.first) {
		b.first = c.first
	}
	if c.last.After(b.last) {
		b.last = c.last
	}
}

func (t *timeline) add(at time.Time) {
	n := t.number(at)
	for len(t.bins) > 0 && max(n, t.base+int64(len(t.bins))-1)-min(n, t.base) >= fineBins {
		t.coarsen()
		n = t.number(at)
	}
	switch {
	case len(t.bins) == 0:
		t.base, t.bins = n, make([]bin, 1)
	case n < t.base:
		t.bins = slices.Insert(t.bins, 0, make([]bin, t.base-n)...)
		t.base = n
	case n >= t.base+int64(len(t.bins)):
		t.bins = append(t.bins, make([]bin, n-t.base-int64(len(t.bins))+1)...)
	}
	t.bins[n-t.base].merge(bin{count: 1, first: at, last: at})
}

func (t *timeline) number(at time.Time) int64 { return floorDiv(at.UnixMilli(), widths[t.width]) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// coarsen takes the next width.
func (t *timeline) coarsen() {
	ratio := widths[t.width+1] / widths[t.width]
	base := floorDiv(t.base, ratio)
	last := floorDiv(t.base+int64(len(t.bins))-1, ratio)
	bins := make([]bin, last-base+1)
	for i, b := range t.bins {
		bins[floorDiv(t.base+int64(i), ratio)-base].merge(b)
	}
	t.width++
	t.base, t.bins = base, bins
}

// span returns the earliest and the latest time, which are zero when there is none.
func (t *timeline) span() (from, to time.Time) {
	if len(t.bins) == 0 {
		return
	}
	return t.bins[0].first, t.bins[len(t.bins)-1].last
}

// histogram counts in at most n bins, and in no more than there are times. It is nil when there is none.
func (t *timeline) histogram(n int) *Histogram {
	if len(t.bins) == 0 {
		return nil
	}
	coarse := *t
	var times int64
	for _, b := range t.bins {
		times += b.count
	}
	for int64(len(coarse.bins)) > min(int64(n), times) && coarse.width < len(widths)-1 {
		coarse.coarsen()
	}
	width := widths[coarse.width]
	h := &Histogram{From: time.UnixMilli(coarse.base * width).UTC(), WidthMS: width}
	for _, b := range coarse.bins {
		h.Counts = append(h.Counts, b.count)
	}
	return h
}

// resolution is the shortest gap that can be told: a shorter one may be within a bin, whose times are not kept.
func (t *timeline) resolution() time.Duration {
	return time.Duration(widths[t.width]) * time.Millisecond
}

// gaps returns the n longest gaps, the longest first, of those that are not shorter than the resolution.
func (t *timeline) gaps(n int) []Gap {
	var gaps []Gap
	var before time.Time
	for _, b := range t.bins {
		if b.count == 0 {
			continue
		}
		if d := b.first.Sub(before); !before.IsZero() && d >= t.resolution() {
			gaps = append(gaps, Gap{From: before, To: b.first, Seconds: d.Seconds()})
		}
		before = b.last
	}
	slices.SortStableFunc(gaps, func(a, b Gap) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return gaps[:min(n, len(gaps))]
}
