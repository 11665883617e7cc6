package eventhub

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/logchunk"
	"tandem/capture/translate"
)

// An attempt is an invocation of which several records tell, as far as they have come. They may come in any order and
// from any partition.
type attempt struct {
	key      string
	function string
	holds    []*entry  // the events of the hub that it was made of
	first    time.Time // when the first of them came here
	last     time.Time // when the last of them did
	at       time.Time // the earliest time that a record has
	size     int
	gone     bool // recorded or given up

	host      hostLine // what the host has said until now
	text      []byte   // the event, as the function has logged it
	ambiguous bool     // there were several, or one that can be read in two ways
	failure   *capture.Error

	request, response *exchange

	chunks   logchunk.Decoder
	document []byte // that the chunks have made
	broken   bool   // that they cannot make
}

// overhead is about what an attempt takes besides what its records say, in bytes.
const overhead = 600

// A joiner makes invocations of parts. When it gives up waiting depends on when records came here, since a stream has
// no order to go by; what it makes of the same records is named the same, whenever that is.
type joiner struct {
	opts   *Options
	make   *maker
	record func(inv *capture.Invocation) (known bool, err error)
	report *Report
	known  *known // the IDs of what is in the recording
	missed *known // the keys of what was given up without an event

	attempts map[string]*attempt
	pending  []*attempt // in the order in which they began to come; some may be gone
	size     int
}

func newJoiner(opts *Options, m *maker, k *known, report *Report,
	record func(*capture.Invocation) (known bool, err error)) *joiner {
	return &joiner{
		opts: opts, make: m, record: record, report: report, known: k, missed: newKnown(opts.Known),
		attempts: make(map[string]*attempt),
	}
}

// idOf is what the recording calls the invocation that parts with that key make. Chunks have a document with an ID of
// its own, which tandem-recorder gives to them, too.
func idOf(key string) string {
	switch kind, id, _ := strings.Cut(key, ":"); kind {
	case "log", "chunk":
		return id
	default:
		return identity(time.Time{}, key)
	}
}

// add takes a part, which from has.
func (j *joiner) add(p *part, from *entry, now time.Time) error {
	hasEvent := p.line != nil || p.request != nil || p.chunk != ""
	if j.known.has(idOf(p.key)) || !hasEvent && j.missed.has(p.key) {
		j.report.Repeated++
		return nil
	}
	a := j.attempts[p.key]
	if a == nil {
		a = &attempt{key: p.key, first: now, size: overhead + len(p.key)}
		j.attempts[p.key] = a
		j.pending = append(j.pending, a)
		j.size += a.size
	}
	if !slices.Contains(a.holds, from) {
		from.hold()
		a.holds = append(a.holds, from)
	}
	a.last = now
	if !p.at.IsZero() && (a.at.IsZero() || p.at.Before(a.at)) {
		a.at = p.at
	}
	a.function = cmp.Or(a.function, p.function)
	before := a.size
	a.take(p, j.make)
	j.size += a.size - before
	if a.request != nil && a.response != nil || a.document != nil || a.broken {
		return j.retire(a)
	}
	return nil
}

// take adds what a part says.
func (a *attempt) take(p *part, m *maker) {
	if h := p.host; h != nil {
		a.host.queue = cmp.Or(a.host.queue, h.queue)
		if h.trigger != nil {
			a.host.trigger = h.trigger
		}
		if h.ends {
			a.host.ends, a.host.failed, a.host.durationMS = true, h.failed, h.durationMS
		}
	}
	if p.line != nil {
		a.takeLine(p.line, m)
	}
	if p.request != nil && a.request == nil {
		a.request, a.size = p.request, a.size+p.size
		a.request.at = cmp.Or(a.request.at, p.at)
	}
	if p.response != nil && a.response == nil {
		a.response, a.size = p.response, a.size+p.size
	}
	if p.chunk != "" {
		_, doc, err := a.chunks.Add(p.chunk)
		a.document, a.broken = doc, err != nil
		a.size += p.size
	}
}

// takeLine looks for the event in a line of the function. The first that is found counts.
func (a *attempt) takeLine(l *logLine, m *maker) {
	if f := l.failure(); f != nil {
		a.failure = f
	}
	found, ok := m.findEvent(string(l.Message))
	if l.unescaped != "" {
		other, otherOK := m.findEvent(l.unescaped)
		switch {
		case otherOK && (!ok || !json.Valid(found) && json.Valid(other)):
			found, ok = other, true
		case otherOK && json.Valid(other) && string(found) != string(other):
			a.ambiguous = true
		}
	}
	switch {
	case !ok:
	case a.text == nil:
		a.text = slices.Clone(found)
		a.size += len(found)
	default:
		a.ambiguous = a.ambiguous || string(a.text) != string(found)
	}
}

// advance retires the attempts that have waited long enough at now, and the oldest where there are too many.
func (j *joiner) advance(now time.Time) error {
	return j.sweep(func(a *attempt) bool { return j.size > j.opts.MaxPending || j.waited(a, now) })
}

// waited reports whether nothing more is to be expected of an attempt.
func (j *joiner) waited(a *attempt, now time.Time) bool {
	switch {
	case a.isLog() && a.host.ends && a.text != nil:
		return now.Sub(a.last) >= j.opts.Settle
	case a.isLog() && !a.host.ends:
		return now.Sub(a.first) >= j.opts.Grace
	}
	return now.Sub(a.last) >= j.opts.Late
}

func (a *attempt) isLog() bool { return strings.HasPrefix(a.key, "log:") }

// finish retires all attempts that seem to be whole, or simply all.
func (j *joiner) finish(all bool) error {
	return j.sweep(func(a *attempt) bool { return all || a.isLog() && a.host.ends && a.text != nil })
}

// sweep retires the attempts that are ready, oldest first, and forgets those that are gone.
func (j *joiner) sweep(ready func(*attempt) bool) error {
	var failed error
	j.pending = slices.DeleteFunc(j.pending, func(a *attempt) bool {
		if failed == nil && !a.gone && ready(a) {
			failed = j.retire(a)
		}
		return a.gone
	})
	return failed
}

// retire records an attempt if it has an event, and counts it.
func (j *joiner) retire(a *attempt) error {
	inv, err := j.invocation(a)
	var object *objectError
	if errors.As(err, &object) {
		return err
	}
	c := j.report.function(cmp.Or(a.function, j.opts.Function))
	if inv != nil {
		c = j.report.function(inv.Function)
		known, err := j.record(inv)
		if err != nil {
			return err
		}
		if !known {
			c.recorded(inv)
			count(&c.Ambiguous, a.ambiguous)
			count(&c.Unended, a.isLog() && !a.host.ends || a.request != nil && a.response == nil)
			if j.missed.has(a.key) { // it was given up too early
				c.Missing--
				c.Invocations--
			}
		}
	} else if !errors.Is(err, translate.ErrUnrouted) {
		if !j.missed.has(a.key) {
			c.Missing++
			c.Invocations++
			count(&c.Broken, err != nil)
			j.missed.add(a.key)
		}
	} else {
		e := a.holds[0]
		j.report.leave(finding{left: leftRoute}, &event{partition: e.ledger.partition, sequence: e.sequence})
	}
	j.forget(a)
	return nil
}

// forget lets go of an attempt, so that checkpoints may pass what it was made of.
func (j *joiner) forget(a *attempt) {
	a.gone = true
	for _, e := range a.holds {
		e.release()
	}
	a.holds = nil
	j.size -= a.size
	delete(j.attempts, a.key)
}

// drop forgets the attempts that are made of nothing but events of a partition that was lost: who has it now reads
// them again.
func (j *joiner) drop(l *ledger) {
	for _, a := range j.pending {
		if !a.gone && !slices.ContainsFunc(a.holds, func(e *entry) bool { return e.ledger != l }) {
			j.forget(a)
		}
	}
}

// invocation is what is recorded of an attempt, nil where it has no event. The error is then why, nil for that none
// has come.
func (j *joiner) invocation(a *attempt) (*capture.Invocation, error) {
	switch {
	case a.document != nil:
		return capture.ParseInvocation(a.document)
	case a.broken:
		return nil, errCut
	case a.request != nil:
		if err := a.request.checkLength(); err != nil {
			return nil, err
		}
		inv, err := j.make.exchanged("", a.request, a.response, j.opts.name(a.function))
		if inv != nil {
			inv.ID = idOf(a.key)
		}
		return inv, err
	case a.text == nil:
		return nil, nil
	}
	function := cmp.Or(a.function, j.opts.Function)
	if function == "" {
		return nil, errNoFunction
	}
	inv, err := j.make.fromText(idOf(a.key), function, a.at, a.text, &a.host)
	if err != nil {
		return nil, err
	}
	inv.Context.RequestID = idOf(a.key)
	inv.Outcome = a.outcome(inv)
	return inv, nil
}

// outcome says what the host has logged of how an invocation ended, nil for nothing. It does not log what an HTTP
// function answered.
func (a *attempt) outcome(inv *capture.Invocation) *capture.Outcome {
	if !a.host.ends {
		return nil
	}
	var o *capture.Outcome
	failed := a.failed()
	switch {
	case inv.Trigger == capture.TriggerSQS:
		o = translate.MessageOutcome(inv.Event, failed)
	case failed != nil || inv.Trigger == capture.TriggerS3:
		o = translate.Outcome(failed)
	default:
		o = &capture.Outcome{Status: capture.StatusUnknown}
	}
	o.PlatformMS = a.host.durationMS
	return o
}

// failed is the error that an invocation ended with, nil where it succeeded.
func (a *attempt) failed() *capture.Error {
	if !a.host.failed {
		return nil
	}
	err := capture.Error{Message: "the host has logged that it failed"}
	if a.failure != nil {
		err = *a.failure
	}
	if strings.HasSuffix(err.Type, "FunctionTimeoutException") {
		err.Type = translate.TimedOut
	}
	return &err
}
