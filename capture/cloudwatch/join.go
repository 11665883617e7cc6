package cloudwatch

import (
	"cmp"
	"math"
	"slices"
	"time"

	"tandem/capture"
)

// A joiner makes invocations of one function's log events, which come roughly in order of time; see [Options.Settle].
// Its state follows from the log events alone, never from when they were read.
type joiner struct {
	function Function
	pattern  *pattern
	opts     *Options
	write    func(*capture.Invocation) error

	from, until int64 // invocations that start from from on and before until are wanted
	countFrom   int64 // what is older was counted before the capture was resumed

	recorder recorderLines
	attempts map[string][]*attempt // by request ID, in the order in which they were first seen
	streams  map[string]*stream
	pending  []*attempt // not done, in the order in which they were first seen
	known    int        // how many attempts there are, done or not
	size     int        // of what pending and unfinished records hold
	counts   Completeness
}

// A stream is what is known of one log stream, that is, of one environment.
type stream struct {
	attempts []*attempt // in order of time
	open     *record    // that the last line began and did not end
}

// newJoiner returns a joiner for what starts in w.
func newJoiner(f Function, opts *Options, p *pattern, w window, write func(*capture.Invocation) error) *joiner {
	return &joiner{
		function: f, pattern: p, opts: opts, write: write, from: w.from, until: w.to,
		attempts: make(map[string][]*attempt), streams: make(map[string]*stream),
		counts: Completeness{Group: f.Group, Formats: make(map[capture.Format]int64)},
	}
}

// add takes one log event.
func (j *joiner) add(e logEvent) {
	if name := streamFunction(e.stream); name != "" && name != j.function.Name {
		return // the group is shared
	}
	if isRecorderLine(e.text) {
		j.fromRecorder(e)
		return
	}
	s := j.streams[e.stream]
	if l, ok := parsePlatform(e.text); ok {
		if s != nil {
			j.giveUp(s)
		}
		j.platform(e, l)
		return
	}
	if s != nil && s.open != nil {
		if j.goOn(s, e) {
			return
		}
	}
	if topics := topicsOf(e.text); topics != 0 || j.pattern != nil {
		j.own(e, []byte(e.text), topics, true)
	}
}

// platform takes a line of the platform.
func (j *joiner) platform(e logEvent, l platformLine) {
	var a *attempt
	if l.kind == lineStart {
		a = j.start(e, l.requestID)
	} else if a = j.choose(l.requestID, e); a == nil {
		a = j.begin(l.requestID, e)
	}
	a.last = max(a.last, e.at)
	if !a.done {
		a.take(l)
	}
}

// start finds or makes the attempt that a START line begins.
func (j *joiner) start(e logEvent, requestID string) *attempt {
	for _, a := range j.attempts[requestID] {
		switch {
		case a.started && a.first == e.at: // read before the capture was resumed
			j.place(a, e.stream)
			return a
		case !a.started && !a.done && a.first >= e.at && (a.stream == "" || a.stream == e.stream): // out of order
			a.started, a.first, a.key = true, e.at, e.id
			j.place(a, e.stream)
			return a
		}
	}
	a := j.begin(requestID, e)
	a.started = true
	return a
}

// begin makes an attempt of which e is the first line. One that starts too late to be wanted is done already, and
// there for its lines to be told from others.
func (j *joiner) begin(requestID string, e logEvent) *attempt {
	a := &attempt{requestID: requestID, key: e.id, first: e.at, last: e.at, done: e.at >= j.until}
	j.attempts[requestID] = append(j.attempts[requestID], a)
	j.known++
	if !a.done {
		j.pending = append(j.pending, a)
	}
	j.place(a, e.stream)
	return a
}

// place notes in which stream an attempt is.
func (j *joiner) place(a *attempt, name string) {
	a.stream = name
	s := j.streams[name]
	if s == nil {
		s = &stream{}
		j.streams[name] = s
	}
	if !slices.Contains(s.attempts, a) {
		s.attempts = append(s.attempts, a)
	}
	slices.SortStableFunc(s.attempts, func(a, b *attempt) int { return cmp.Compare(a.first, b.first) })
}

// choose returns the attempt at an invocation that a line belongs to, nil if there is none: the last one in the
// line's stream that had begun, or else the last one at all.
func (j *joiner) choose(requestID string, e logEvent) *attempt {
	var best *attempt
	for _, a := range j.attempts[requestID] {
		if best == nil || a.stream == e.stream && a.first <= e.at || best.stream != e.stream {
			best = a
		}
	}
	return best
}

// owner returns the attempt that a line of the function belongs to, nil if nothing says so.
func (j *joiner) owner(e logEvent, text []byte) *attempt {
	ids := namedIDs(text)
	for _, id := range ids {
		if a := j.choose(id, e); a != nil {
			return a
		}
	}
	if s := j.streams[e.stream]; s != nil {
		for _, a := range slices.Backward(s.attempts) {
			if a.first <= e.at {
				return a
			}
		}
	}
	for _, id := range ids {
		if isRequestID(id) {
			return j.begin(id, e)
		}
	}
	return nil
}

// own takes a line of the function, or a record of several, of which topics are [topicsOf]. When mayOpen is set, it
// may be the beginning of a record.
func (j *joiner) own(e logEvent, text []byte, topics topic, mayOpen bool) {
	f := j.look(text, topics)
	if f.open >= 0 && mayOpen {
		j.openRecord(e, text, f.open)
		return
	}
	if f.nothing() {
		return
	}
	a := j.owner(e, text)
	if a == nil {
		if f.event != nil && e.at >= j.countFrom {
			j.counts.Unjoined++
		}
		return
	}
	a.last = max(a.last, e.at)
	if a.done {
		return
	}
	before := a.size
	a.keep(f)
	j.size += a.size - before
}

// keep adds what was found in a line. The first event counts: what comes after may be a part of it.
func (a *attempt) keep(f findings) {
	if f.event != nil {
		if a.event == nil {
			a.event = slices.Clone(f.event)
			a.size += len(a.event)
		} else if a.recorded == nil && string(a.event) != string(f.event) {
			a.ambiguous = true
		}
	}
	a.broken = a.broken || f.broken
	for _, found := range []struct {
		doc  []byte
		into *answer
	}{{f.http, &a.http}, {f.batch, &a.batch}, {f.response, &a.given}} {
		if found.doc != nil {
			a.size += len(found.doc) - len(found.into.doc)
			found.into.add(slices.Clone(found.doc))
		}
	}
	if f.hasError && (f.certain || !a.failed) {
		a.failure = f.failure
		a.failed = a.failed || f.certain
	}
}

// maxKnown bounds the attempts that are kept because one of them is older and has no REPORT yet.
const maxKnown = 100_000

// advance retires the attempts that are settled when everything before now was read, and the oldest where there are
// too many.
func (j *joiner) advance(now int64) error {
	j.closeRecords(now)
	settle, expired := ms(j.opts.Settle), now-ms(j.opts.Grace)
	if j.known > maxKnown {
		expired = max(expired, (j.oldest(now)+now)/2)
	}
	j.dropGaps(expired)
	return j.retire(func(a *attempt) bool {
		settled := a.reported && a.last+settle <= now && !j.awaited(a)
		return j.size > j.opts.MaxPending && a.size > 0 || settled || a.first <= expired
	})
}

// finish retires the attempts whose REPORT was read, or with all, every attempt.
func (j *joiner) finish(all bool) error {
	j.closeRecords(math.MaxInt64)
	if all {
		j.dropGaps(math.MaxInt64)
	}
	return j.retire(func(a *attempt) bool { return all || a.reported && !j.awaited(a) })
}

// retire records and counts the pending attempts that are ready, oldest first.
func (j *joiner) retire(ready func(*attempt) bool) error {
	kept := j.pending[:0]
	var failed error
	for _, a := range j.pending {
		switch {
		case a.done:
		case failed == nil && ready(a):
			if failed = j.record(a); failed != nil {
				kept = append(kept, a)
			}
		default:
			kept = append(kept, a)
		}
	}
	clear(j.pending[len(kept):])
	j.pending = kept
	return failed
}

// record writes an attempt, if it has an event, and counts it.
func (j *joiner) record(a *attempt) error {
	if a.event != nil {
		inv := a.invocation(j.function)
		if err := j.write(inv); err != nil {
			return err
		}
		j.counts.recorded(a, inv)
	}
	j.counts.seen(a)
	j.size -= a.size
	a.retire()
	return nil
}

// seen counts an attempt.
func (c *Completeness) seen(a *attempt) {
	switch {
	case !a.started:
		if a.event != nil {
			c.WithoutStart++
		}
		return
	case a.event != nil:
		c.Events++
	default:
		c.Missing++
		if a.broken {
			c.Broken++
		}
	}
	c.Invocations++
}

// recorded counts what is known of an attempt that was recorded.
func (c *Completeness) recorded(a *attempt, inv *capture.Invocation) {
	c.Formats[inv.Format]++
	doc, ambiguous := a.answer(inv.Trigger)
	count(&c.Answers, doc != nil || a.recorded != nil && a.recorded.Outcome != nil)
	count(&c.Ambiguous, ambiguous || a.ambiguous)
	count(&c.TimedOut, a.ranOut())
	count(&c.Failed, a.hasFailed() && !a.ranOut())
	count(&c.ColdStarts, inv.Context.ColdStart)
	count(&c.Unreported, !a.reported)
}

func count(n *int64, is bool) {
	if is {
		*n++
	}
}

// running reports whether an attempt that is wanted may still get its REPORT.
func (j *joiner) running() bool {
	return slices.ContainsFunc(j.pending, func(a *attempt) bool { return !a.done && a.started && !a.reported })
}

// oldest returns the time of the first line of what is pending, or at if nothing older is.
func (j *joiner) oldest(at int64) int64 {
	for _, a := range j.pending {
		if !a.done {
			at = min(at, a.first)
		}
	}
	if j.recorder.open {
		at = min(at, j.recorder.since)
	}
	for _, s := range j.streams {
		if s.open != nil {
			at = min(at, s.open.event.at)
		}
	}
	return at
}

// forget drops the attempts of which no line from at on is known, once they are done.
func (j *joiner) forget(at int64) {
	gone := func(a *attempt) bool { return a.done && a.last < at }
	for name, s := range j.streams {
		if s.attempts = slices.DeleteFunc(s.attempts, gone); len(s.attempts) == 0 && s.open == nil {
			delete(j.streams, name)
		}
	}
	for id, attempts := range j.attempts {
		before := len(attempts)
		if attempts = slices.DeleteFunc(attempts, gone); len(attempts) == 0 {
			delete(j.attempts, id)
		} else {
			j.attempts[id] = attempts
		}
		j.known -= before - len(attempts)
	}
}

func ms(d time.Duration) int64 { return d.Milliseconds() }
