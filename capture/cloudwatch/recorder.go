package cloudwatch

import (
	"slices"
	"strings"

	"tandem/capture"
	"tandem/capture/logchunk"
)

// recorderLines are the lines that tandem-recorder writes to a function's log: whole invocations in pieces.
type recorderLines struct {
	decoder logchunk.Decoder
	seen    bool  // there were such lines
	since   int64 // from when on documents are not whole yet, while there are some
	open    bool
}

// isRecorderLine reports whether a line is a piece of an invocation.
func isRecorderLine(text string) bool { return strings.Contains(text, logchunk.Prefix+"{") }

// fromRecorder takes a line of tandem-recorder.
func (j *joiner) fromRecorder(e logEvent) {
	r := &j.recorder
	r.seen = true
	_, doc, err := r.decoder.Add(e.text)
	if open := len(r.decoder.Gaps()) > 0; open && !r.open {
		r.open, r.since = true, e.at
	} else {
		r.open = open
	}
	if err != nil {
		j.lost(e, 1)
		return
	}
	if doc == nil {
		return
	}
	inv, err := capture.ParseInvocation(doc)
	if err != nil || inv.Context.RequestID == "" {
		j.lost(e, 1)
		return
	}
	a := j.choose(inv.Context.RequestID, e)
	if a == nil {
		a = j.begin(inv.Context.RequestID, e)
	}
	a.last = max(a.last, e.at)
	if a.done {
		return
	}
	before := a.size
	a.size += len(inv.Event) - len(a.event)
	a.event, a.ambiguous, a.recorded = inv.Event, false, inv
	j.size += a.size - before
}

// awaited reports whether tandem-recorder may yet write what it saw of an attempt. It writes in batches, which may
// come long after the REPORT, with a later invocation.
func (j *joiner) awaited(a *attempt) bool { return j.recorder.seen && a.recorded == nil }

// lost counts documents that cannot be read.
func (j *joiner) lost(e logEvent, n int) {
	if e.at >= j.countFrom {
		j.counts.Gaps += int64(n)
	}
}

// dropGaps gives up the documents that are not whole when they have waited since before expired.
func (j *joiner) dropGaps(expired int64) {
	if r := &j.recorder; r.open && r.since <= expired {
		j.lost(logEvent{at: r.since}, len(r.decoder.Gaps()))
		r.decoder, r.open = logchunk.Decoder{}, false
	}
}

// fromRecorder is the invocation as tandem-recorder saw it, with what only the platform knows.
func (a *attempt) fromRecorder(f Function) *capture.Invocation {
	inv := *a.recorded
	inv.Function, inv.Source, inv.Objects = f.Name, "cloudwatch:"+f.Group, slices.Clone(inv.Objects)
	inv.Context.ColdStart = inv.Context.ColdStart || a.metrics.InitMS > 0 || a.metrics.RestoreMS > 0
	if inv.Context.TimeoutMS == 0 {
		inv.Context.TimeoutMS = a.timeoutMS
	}
	if inv.Outcome == nil { // it crashed or ran out of time, so that there was no answer to record
		inv.Outcome = a.outcome(inv.Format)
		return &inv
	}
	o := *inv.Outcome
	a.measure(&o)
	inv.Outcome = &o
	return &inv
}
