package cloudwatch

import (
	"testing"
	"time"
)

func TestTheQuotaSpacesRequestsAndGivesWay(t *testing.T) {
	now := time.UnixMilli(epoch)
	q := newQuota(5)
	for i := range 10 { // however many ask at once
		if got, want := q.reserve(now), time.Duration(i)*200*time.Millisecond; got != want {
			t.Errorf("request %d waits %s, want %s", i, got, want)
		}
	}
	now = now.Add(time.Minute)
	if got := q.reserve(now); got != 0 {
		t.Errorf("after a pause, a request waits %s", got)
	}
	if got := q.reserve(now); got != 200*time.Millisecond {
		t.Errorf("a pause is not saved up: the next waits %s", got)
	}
	q.throttled(now, 3*time.Second)
	if got := q.reserve(now); got != 3*time.Second {
		t.Errorf("after a throttle, a request waits %s", got)
	}
	if got := q.reserve(now); got != 3400*time.Millisecond {
		t.Errorf("the next after a throttle waits %s: half the rate", got)
	}
	for range 100 {
		q.throttled(now, 0)
	}
	if q.rate != slowest {
		t.Errorf("throttles slow it down to %v", q.rate)
	}
	for range 1000 {
		q.succeeded()
	}
	if q.rate != 5 {
		t.Errorf("it recovers to %v requests a second", q.rate)
	}
}

func TestWindowsFitTheTraffic(t *testing.T) {
	p := newPlanner(window{0, int64(100 * time.Hour / time.Millisecond)})
	end := int64(0)
	next := func() window {
		w, ok := p.next()
		if !ok || w.from != end || w.to <= w.from {
			t.Fatalf("window %v does not follow %d", w, end)
		}
		end = w.to
		return w
	}
	w := next()
	for range 10 {
		p.learn(w, 0)
		w = next()
	}
	if w.to-w.from != maxWindow {
		t.Errorf("in quiet times windows grow to %d", w.to-w.from)
	}
	for range 10 {
		p.learn(w, 1000)
		w = next()
	}
	if length := w.to - w.from; length != minWindow {
		t.Errorf("in busy times they shrink to %d", length)
	}
	p.learn(window{0, 10_000}, windowPages)
	if w = next(); w.to-w.from < minWindow || w.to-w.from > 10_000 {
		t.Errorf("a window of %d", w.to-w.from)
	}
	for {
		if w, ok := p.next(); !ok {
			break
		} else if end = w.to; end > p.to {
			t.Fatalf("%v ends behind the range", w)
		}
	}
	if end != p.to {
		t.Errorf("the windows end at %d", end)
	}
}
