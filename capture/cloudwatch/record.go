package cloudwatch

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"tandem/capture"
)

// A pattern is how the user says where events are.
type pattern struct {
	re              *regexp.Regexp
	event, response int // the numbers of the groups; -1 for none
}

func newPattern(re *regexp.Regexp) *pattern {
	if re == nil {
		return nil
	}
	return &pattern{re: re, event: re.SubexpIndex("event"), response: re.SubexpIndex("response")}
}

// findings are what was found in a line. They may alias it.
type findings struct {
	event             []byte
	http, batch       []byte // answers, by their shape
	response          []byte // an answer, by the pattern
	failure           failure
	hasError, certain bool
	broken            bool // there is an event that is not JSON
	open              int  // where an unfinished document begins, -1 for none
}

func (f *findings) nothing() bool {
	return f.event == nil && f.http == nil && f.batch == nil && f.response == nil && !f.hasError && !f.broken
}

// look finds what a line of the function holds that has these topics.
func (j *joiner) look(text []byte, topics topic) findings {
	f := findings{open: -1}
	if topics&topicError != 0 {
		f.failure, f.certain, f.hasError = findError(text)
	}
	if j.pattern != nil {
		f.event, f.response, f.broken, f.open = j.pattern.find(text)
		return f
	}
	if topics&(topicEvent|topicOpen) != 0 {
		f.event, f.open = findEvent(text)
	}
	if topics&topicAnswer != 0 {
		f.http = findAnswer(text, capture.TriggerHTTP)
		f.batch = findAnswer(text, capture.TriggerSQS)
	}
	return f
}

// A record is a document that several log events hold: because a runtime made each line of it an event of its own, or
// because it is larger than a log event can be and was cut.
type record struct {
	event logEvent // the first, without its text
	text  []byte   // of all
	lines []int    // where each but the first begins
	scan  scanner
}

const (
	// maxRecord is how large a record can get. An event has 6 MB at most, and twice that when it is escaped.
	maxRecord = 16 << 20
	maxLines  = 200_000
	// maxPause is how long a record waits for its next line, in milliseconds of log time.
	maxPause = 5_000
)

// openRecord begins a record with a line whose document begins at start.
func (j *joiner) openRecord(e logEvent, text []byte, start int) {
	e.text = ""
	r := &record{event: e}
	r.text = append(r.text, text[:start]...)
	if !r.append(text[start:]) {
		s := j.streams[e.stream]
		if s == nil {
			s = &stream{}
			j.streams[e.stream] = s
		}
		s.open = r
		j.size += len(r.text)
	}
}

// append adds the next piece. A line end within a string is where a text was cut; outside, it is part of the text.
func (r *record) append(piece []byte) (done bool) {
	body := bytes.TrimRight(piece, "\r\n")
	_, done = r.scan.scan(body)
	r.text = append(r.text, body...)
	if !r.scan.inString {
		r.text = append(r.text, piece[len(body):]...)
	}
	return done
}

// goOn adds a log event to the open record of its stream. It is false when the event does not belong to it.
func (j *joiner) goOn(s *stream, e logEvent) bool {
	r := s.open
	if e.at-r.event.at > maxPause || len(r.text)+len(e.text) > maxRecord || len(r.lines) == maxLines ||
		j.size > 2*j.opts.MaxPending || !r.scan.inString && isNewEntry(e.text) {
		j.giveUp(s)
		return false
	}
	before := len(r.text)
	r.lines = append(r.lines, before)
	done := r.append([]byte(e.text))
	j.size += len(r.text) - before
	if done {
		s.open = nil
		j.size -= len(r.text)
		j.own(r.event, r.text, topicsOf(string(r.text)), false)
	}
	return true
}

// isNewEntry reports whether a line begins as entries of a log do and lines within a document do not.
func isNewEntry(text string) bool {
	head := text[:min(len(text), 128)]
	return strings.HasPrefix(head, "[") && strings.Contains(head, "]\t") ||
		strings.Contains(head, "Z\t") && head[0] >= '0' && head[0] <= '9'
}

// giveUp ends the open record of a stream, if there is one, and looks at each of its lines alone.
func (j *joiner) giveUp(s *stream) {
	r := s.open
	if r == nil {
		return
	}
	s.open = nil
	j.size -= len(r.text)
	if j.pattern != nil || topicsOf(string(r.text))&topicEvent != 0 {
		if a := j.owner(r.event, r.text); a != nil {
			a.broken = true
		}
	}
	for i, start := range r.lines {
		end := len(r.text)
		if i+1 < len(r.lines) {
			end = r.lines[i+1]
		}
		if start < end {
			j.own(r.event, r.text[start:end], topicsOf(string(r.text[start:end])), false)
		}
	}
}

// closeRecords gives up the records that got no line for too long.
func (j *joiner) closeRecords(now int64) {
	var late []*stream
	for _, s := range j.streams {
		if s.open != nil && now-s.open.event.at > maxPause {
			late = append(late, s)
		}
	}
	slices.SortFunc(late, func(a, b *stream) int { return strings.Compare(a.open.event.id, b.open.event.id) })
	for _, s := range late {
		j.giveUp(s)
	}
}

// streamFunction returns the function that a log stream of a shared group belongs to, "" in a function's own group:
// 2024/05/06/NAME[$LATEST]0123… against 2024/05/06/[$LATEST]0123….
func streamFunction(stream string) string {
	parts := strings.SplitN(stream, "/", 4)
	if len(parts) < 4 || len(parts[0]) != 4 {
		return ""
	}
	name, _, ok := strings.Cut(parts[3], "[")
	if !ok {
		return ""
	}
	return name
}
