package replay

import (
	"errors"
	"math"
	"time"
)

// A Pace says when invocations are due. The zero value has them due at once, so that only what is in flight holds
// them back.
type Pace struct {
	// Speed replays as recorded, so many times as fast: 1 in the time that the recording took, 10 in a tenth of it. An
	// invocation that was recorded before the one ahead of it, or at no known time, is due with that one.
	Speed float64
	// MaxGap is the longest silence of the recording that is waited for; default an hour, after which no platform
	// keeps anything warm. It also tells invocations that are a little out of order from those of another recording
	// that was put behind: time that goes back further than MaxGap is counted on from there.
	MaxGap time.Duration
	// Rate is how many invocations a second are due, whatever their recorded times.
	Rate float64
	// Ramp is the time in which the rate climbs, evenly, from nothing to Rate.
	Ramp time.Duration
	// MaxRate bounds how many invocations a second are fired, also of those that are late.
	MaxRate float64
}

func (p Pace) withDefaults() (Pace, error) {
	for _, v := range []float64{p.Speed, p.Rate, p.MaxRate} {
		if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return p, errors.New("a speed or a rate is not a number above 0")
		}
	}
	switch {
	case p.Speed > 0 && p.Rate > 0:
		return p, errors.New("either a speed or a rate says when invocations are due, not both")
	case p.Ramp < 0 || p.MaxGap < 0:
		return p, errors.New("a time of the pace is below 0")
	case p.Ramp > 0 && p.Rate == 0:
		return p, errors.New("a ramp needs the rate that it climbs to")
	}
	if p.MaxGap == 0 {
		p.MaxGap = time.Hour
	}
	return p, nil
}

// timed reports whether invocations are due at some time.
func (p *Pace) timed() bool { return p.Speed > 0 || p.Rate > 0 }

// A pacer gives invocations, in their order, the time at which each is due. It is pure arithmetic.
type pacer struct {
	pace   Pace
	n      int64     // invocations before this one
	pass   int       // of the recording
	anchor time.Time // the recorded time that stands for the begin; zero before the first
	last   time.Duration
	cut    time.Duration // recorded silence that was left out
}

// due returns when the next invocation is due, from the begin of the firing. What it returns never decreases.
func (p *pacer) due(pass int, recorded time.Time) time.Duration {
	n := p.n
	p.n++
	switch {
	case p.pace.Rate > 0:
		return p.dueAtRate(float64(n))
	case p.pace.Speed > 0:
		p.pass, pass = pass, p.pass
		return p.dueAtSpeed(pass != p.pass, recorded)
	}
	return 0
}

// dueAtRate inverts how many are due by t: rate·t²/(2·ramp) while it climbs, and rate·(t - ramp/2) after.
func (p *pacer) dueAtRate(n float64) time.Duration {
	ramp := p.pace.Ramp.Seconds()
	if climbing := p.pace.Rate * ramp / 2; n < climbing {
		return seconds(math.Sqrt(2 * ramp * n / p.pace.Rate))
	}
	return seconds(ramp/2 + n/p.pace.Rate)
}

func (p *pacer) dueAtSpeed(again bool, recorded time.Time) time.Duration {
	if !recorded.IsZero() {
		if p.anchor.IsZero() || again {
			p.anchor = recorded.Add(-p.last)
		}
		switch at := recorded.Sub(p.anchor); {
		case at > p.last+p.pace.MaxGap:
			p.cut += at - p.last - p.pace.MaxGap
			p.last += p.pace.MaxGap
			p.anchor = recorded.Add(-p.last)
		case at < p.last-p.pace.MaxGap:
			p.anchor = recorded.Add(-p.last)
		default:
			p.last = max(p.last, at)
		}
	}
	return seconds(p.last.Seconds() / p.pace.Speed)
}

// seconds rounds up, because a duration too short would be early.
func seconds(s float64) time.Duration {
	const longest = time.Duration(math.MaxInt64 / 4)
	if ns := math.Ceil(s * float64(time.Second)); ns < float64(longest) {
		return time.Duration(ns)
	}
	return longest
}
