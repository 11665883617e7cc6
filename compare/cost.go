package compare

import (
	"math"
	"time"

	"tandem/capture"
)

// A Price says what one platform charges, in any currency.
type Price struct {
	GBSecond float64 `yaml:"gbSecond" json:"gbSecond"` // for a GB of memory during a second
	Request  float64 `yaml:"request" json:"request"`   // for an invocation
	// MinMS is the shortest duration that is charged, and StepMS what it is rounded up to a multiple of.
	MinMS  float64 `yaml:"minMs,omitempty" json:"minMs,omitempty"`
	StepMS float64 `yaml:"stepMs,omitempty" json:"stepMs,omitempty"`
}

// Limits are what a deployment of a function is given. Zero means that it is not known.
type Limits struct {
	MemoryMB float64
	Timeout  time.Duration
}

// usage adds up what the invocations of one side have used, in any order.
type usage struct {
	ran     int64
	longest float64 // ms
	memory  float64 // MB, the most that an invocation used
	charged int64   // microseconds that were billed or, where the platform did not say, taken
	told    int64   // invocations whose platform said what it billed
}

// add takes an outcome, and the price by which it is charged, nil where there is none.
func (u *usage) add(o *capture.Outcome, price *Price) {
	u.ran++
	took := o.DurationMS
	if o.PlatformMS > 0 {
		took = o.PlatformMS
	}
	u.longest = max(u.longest, took)
	u.memory = max(u.memory, o.MemoryMB)
	if o.BilledMS > 0 {
		u.told++
		took = o.BilledMS
	} else {
		took = price.charged(took)
	}
	u.charged += int64(min(took, maxDurationMS) * 1000)
}

// maxDurationMS is longer than any function may run.
const maxDurationMS = 1e9

func (u *usage) merge(o usage) {
	u.ran += o.ran
	u.longest = max(u.longest, o.longest)
	u.memory = max(u.memory, o.memory)
	u.charged += o.charged
	u.told += o.told
}

// report says what one side has used of what it was given, and what a million of such invocations costs.
func (u *usage) report(limits Limits, price *Price) *Usage {
	if u.ran == 0 {
		return nil
	}
	r := &Usage{LongestMS: u.longest, MemoryMB: u.memory, MeanBilledMS: float64(u.charged) / 1000 / float64(u.ran), Billed: u.told}
	if limits.Timeout > 0 {
		r.TimeoutMS = float64(limits.Timeout) / float64(time.Millisecond)
		r.TimeoutHeadroom = headroom(u.longest, r.TimeoutMS)
	}
	if limits.MemoryMB > 0 {
		r.MemoryLimitMB = limits.MemoryMB
		if u.memory > 0 {
			r.MemoryHeadroom = headroom(u.memory, limits.MemoryMB)
		}
	}
	if price != nil && limits.MemoryMB > 0 {
		million := 1e6 * (price.Request + price.GBSecond*limits.MemoryMB/1024*r.MeanBilledMS/1000)
		r.PricePerMillion = &million
	}
	return r
}

// charged is what a duration counts as, in milliseconds, where the platform does not say so itself.
func (p *Price) charged(ms float64) float64 {
	if p == nil {
		return ms
	}
	if p.StepMS > 0 {
		ms = math.Ceil(ms/p.StepMS) * p.StepMS
	}
	return max(ms, p.MinMS)
}

// headroom is the share of a limit that was left.
func headroom(used, limit float64) *float64 {
	left := 1 - used/limit
	return &left
}
