package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Bounds of what waits for answers. A request that the bounds push out is imported without its answer.
const (
	maxWaitingBytes = 64 << 20
	maxWaiting      = 1 << 14
)

// A pairing brings the answers in a GoReplay file to their requests. Requests are imported in the order of the file,
// each when it and all before it have their answers, or when too much waits.
//
// Records of one exchange have one ID, but some versions give all exchanges of a connection the same one. On a
// connection one request follows the answer to the one before, so an answer belongs to the last request before it.
// Source: https://github.com/buger/goreplay/issues/842.
type pairing struct {
	im     *importer
	queue  []*waiting            // in the order of the file
	open   map[string][]*waiting // those without an answer, by ID, in the order of the file
	nbytes int                   // of the bodies in the queue

	replayed int // answers to a replay
}

// A waiting is a request whose answer may still come.
type waiting struct {
	from   origin
	head   gorHead
	x      *exchange // nil when it is not imported; its answer is then not wanted
	method string
	size   int
	done   bool // it waits for no answer
}

// record takes one record. An error ends the import.
func (p *pairing) record(from origin, record []byte) error {
	line, payload, _ := bytes.Cut(record, []byte("\n"))
	head, err := parseGorHead(line)
	switch {
	case err != nil:
		p.im.result.Events++
		p.im.breakOff(from, fmt.Errorf("%s: %w", from, err))
		return nil
	case head.kind == gorReplayed:
		p.replayed++
		return nil
	case head.kind == gorAnswer:
		p.answers(from, head, payload)
		return p.settle()
	case from.function == "":
		return fmt.Errorf("%s: %w", from, ErrNoFunction)
	}
	requests, err := gorRequests(payload)
	for i, m := range requests {
		p.im.result.Events++
		x := &exchange{request: m.request, body: m.body, sent: time.Unix(0, head.at)}
		x.record = fmt.Appendf(nil, "%d %s", i, record)
		if !p.im.selects(x) || !p.im.admit(from, x) {
			x = nil
		}
		p.wait(&waiting{from: from, head: head, x: x, method: m.request.Method})
	}
	if err != nil {
		p.im.result.Events++
		p.im.refuse(from, err.Error())
		p.wait(&waiting{from: from, head: head})
	}
	return p.settle()
}

// wait puts a request into the queue, also one that is not imported, so that its answer finds it.
func (p *pairing) wait(w *waiting) {
	if w.x != nil {
		w.size = len(w.x.body)
	}
	p.queue = append(p.queue, w)
	p.open[w.head.id] = append(p.open[w.head.id], w)
	p.nbytes += w.size
}

// answers gives the answers of a record, which is nearly always one, to requests that wait.
func (p *pairing) answers(from origin, head gorHead, payload []byte) {
	rest := bufio.NewReader(bytes.NewReader(payload))
	for n := 0; n == 0 || skipLineEnds(rest); n++ {
		if start, _ := rest.Peek(5); n > 0 && string(start) != "HTTP/" {
			p.im.note(from, Changed, "what follows the answer was left out")
			return
		}
		w := p.find(head)
		if w == nil {
			p.im.result.Events++
			p.im.refuse(from, "it is an answer, and no request with its ID waits for one")
			return
		}
		p.close(w)
		body, err := w.answer(head, rest)
		switch {
		case w.x == nil:
		case err != nil:
			p.im.note(from, Changed, "the answer was left out: "+err.Error())
		default:
			w.size += len(body)
			p.nbytes += len(body)
		}
		if err != nil {
			return
		}
	}
}

// find returns the request that an answer belongs to: the last that was sent before it, and among those that were
// sent at one time, the first.
func (p *pairing) find(answer gorHead) *waiting {
	var found *waiting
	for _, w := range p.open[answer.id] {
		if answer.isTime() && w.head.at > answer.at {
			continue
		}
		if found == nil || answer.isTime() && w.head.at > found.head.at {
			found = w
		}
	}
	return found
}

// close ends the wait for an answer.
func (p *pairing) close(w *waiting) {
	w.done = true
	open := p.open[w.head.id]
	switch i := slices.Index(open, w); {
	case len(open) == 1:
		delete(p.open, w.head.id)
	case i == 0: // one that was pushed out: there may be many
		p.open[w.head.id] = open[1:]
	default:
		p.open[w.head.id] = slices.Delete(open, i, i+1)
	}
}

// answer reads the next answer, also when nobody wants it, and returns its body. An error says why it is not known;
// it has nothing of the contents.
func (w *waiting) answer(head gorHead, in *bufio.Reader) ([]byte, error) {
	var resp *http.Response
	for resp == nil || resp.StatusCode < 200 { // interim ones come before
		skipLineEnds(in)
		var err error
		if resp, err = http.ReadResponse(in, &http.Request{Method: w.method}); err != nil {
			return nil, errors.New("it is not an HTTP/1 response")
		}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("its body is cut off after %d bytes", len(body))
	}
	if w.x != nil {
		w.x.answerHeader = resp.Header
		w.x.outcome = answered(resp.StatusCode, resp.Header, body, took(w.head, head))
	}
	return body, nil
}

// settle imports what need not wait any longer.
func (p *pairing) settle() error {
	for len(p.queue) > 0 {
		if !p.queue[0].done && len(p.queue) <= maxWaiting && p.nbytes <= maxWaitingBytes {
			return nil
		}
		if err := p.pop(); err != nil {
			return err
		}
	}
	return nil
}

// flush imports all that is left.
func (p *pairing) flush() error {
	for len(p.queue) > 0 {
		if err := p.pop(); err != nil {
			return err
		}
	}
	return nil
}

func (p *pairing) pop() error {
	w := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.nbytes -= w.size
	if !w.done {
		p.close(w)
	}
	if w.x == nil {
		return nil
	}
	return p.im.exchange(w.from, w.x)
}
