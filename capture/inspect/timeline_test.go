package inspect

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// someTimes makes n times within span in one of the ways in which they come.
func someTimes(r *rand.Rand, n int, span time.Duration) []time.Time {
	begin := time.Unix(r.Int64N(4e9)-1e9, r.Int64N(1e9)).UTC()
	times := make([]time.Time, n)
	for i := range times {
		d := time.Duration(r.Int64N(int64(span)))
		if r.IntN(3) == 0 {
			d /= 1000 // most of them near the beginning
		}
		times[i] = begin.Add(d)
	}
	switch r.IntN(3) {
	case 0:
		slices.SortFunc(times, time.Time.Compare)
	case 1:
		slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	}
	return times
}

// checkTimeline compares what a timeline tells with what sorting all times tells.
func checkTimeline(t *testing.T, times []time.Time) {
	t.Helper()
	var line timeline
	for _, at := range times {
		line.add(at)
		if len(line.bins) > fineBins {
			t.Fatalf("%d bins", len(line.bins))
		}
	}
	times = slices.SortedFunc(slices.Values(times), time.Time.Compare)
	last := times[len(times)-1]
	if from, to := line.span(); !from.Equal(times[0]) || !to.Equal(last) {
		t.Errorf("from %v to %v, want %v to %v", from, to, times[0], last)
	}

	h := line.histogram(maxBins)
	if len(h.Counts) > maxBins || len(h.Counts) > len(times) {
		t.Errorf("%d bins for %d times", len(h.Counts), len(times))
	}
	want := make([]int64, len(h.Counts))
	for _, at := range times {
		want[(at.UnixMilli()-h.From.UnixMilli())/h.WidthMS]++
	}
	if diff := gocmp.Diff(want, h.Counts); diff != "" {
		t.Errorf("histogram:\n%s", diff)
	}
	if h.Counts[0] == 0 || h.Counts[len(h.Counts)-1] == 0 {
		t.Errorf("it begins or ends with nothing: %v", h.Counts)
	}

	var gaps []Gap
	for i, at := range times[1:] {
		if d := at.Sub(times[i]); d >= line.resolution() {
			gaps = append(gaps, Gap{From: times[i], To: at, Seconds: d.Seconds()})
		}
	}
	slices.SortStableFunc(gaps, func(a, b Gap) int { return cmp.Compare(b.Seconds, a.Seconds) })
	if diff := gocmp.Diff(gaps[:min(maxGaps, len(gaps))], append([]Gap(nil), line.gaps(maxGaps)...)); diff != "" {
		t.Errorf("gaps:\n%s", diff)
	}
	if span := last.Sub(times[0]); span > time.Second && line.resolution() > span/500 {
		t.Errorf("gaps below %v are not told in %v", line.resolution(), span)
	}
}

func TestATimelineTellsWhatSortingTells(t *testing.T) {
	spans := []time.Duration{
		time.Nanosecond, 2 * time.Millisecond, time.Second, time.Minute, 90 * time.Minute, 24 * time.Hour,
		40 * 24 * time.Hour, 200 * 365 * 24 * time.Hour,
	}
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 0))
		times := someTimes(r, 1+r.IntN(300), spans[seed%uint64(len(spans))])
		checkTimeline(t, times)
		if t.Failed() {
			t.Fatalf("seed %d: %v", seed, times)
		}
	}
}

func TestATimelineOfAllYears(t *testing.T) {
	for _, times := range [][]string{
		{"0001-01-02T00:00:00Z", "9999-12-31T23:59:59Z"},
		{"9999-12-31T23:59:59Z", "2026-01-02T03:04:05Z", "0001-01-02T00:00:00Z"},
		{"1969-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00Z"},
	} {
		var line timeline
		for _, text := range times {
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				t.Fatal(err)
			}
			line.add(at)
		}
		var n int64
		for _, count := range line.histogram(maxBins).Counts {
			n += count
		}
		if n != int64(len(times)) {
			t.Errorf("%v: %d are counted", times, n)
		}
	}
}

func FuzzTimeline(f *testing.F) {
	f.Add(uint64(1), 3, int64(time.Hour))
	f.Add(uint64(2), 1, int64(1))
	f.Fuzz(func(t *testing.T, seed uint64, n int, span int64) {
		if n < 1 || n > 2000 || span < 1 || span > int64(200*365*24*time.Hour) {
			return
		}
		checkTimeline(t, someTimes(rand.New(rand.NewPCG(seed, 0)), n, time.Duration(span)))
	})
}

func TestWidthsAreMultiplesOfOneAnother(t *testing.T) {
	for i := range widths[1:] {
		if widths[i+1]%widths[i] != 0 || widths[i+1] == widths[i] || widths[i+1]/widths[i] > 5 {
			t.Errorf("%d after %d", widths[i+1], widths[i])
		}
	}
}
