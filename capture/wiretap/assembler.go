package wiretap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// An Assembler makes exchanges out of segments. It is for one goroutine at a time; the observer is called from within
// Add and End.
type Assembler struct {
	observer Observer
	maxBody  int
	conns    map[uint64]*conn
}

// NewAssembler returns an assembler that keeps up to maxBody bytes of each body.
func NewAssembler(observer Observer, maxBody int) *Assembler {
	return &Assembler{observer: observer, maxBody: maxBody, conns: make(map[uint64]*conn)}
}

// ErrUnseen is in the Broken of exchanges that may have gone well: nobody knows, for some of it was not copied, or the
// watching ended. Others have failed.
var ErrUnseen = errors.New("some of it was not copied")

// Why else exchanges are broken.
var (
	errClosed   = errors.New("the connection was closed before its end")
	errEnded    = fmt.Errorf("%w: nobody watched any more before its end", ErrUnseen)
	errUnasked  = errors.New("the server spoke without being asked")
	errTooEarly = errors.New("the server answered the next request before this one was whole")
)

// Add takes the next segment. Notes are passed over.
func (a *Assembler) Add(s Segment) {
	c := a.conns[s.Conn]
	if c == nil {
		if s.Kind != Open && s.Kind != Resume {
			return
		}
		c = &conn{a: a, id: s.Conn}
		a.conns[s.Conn] = c
		if a.observer.Opened != nil {
			a.observer.Opened(s.Conn)
		}
	}
	switch s.Kind {
	case Open:
		c.abandon(ErrUnseen)
		c.synced = true
	case Resume:
		c.abandon(ErrUnseen)
		c.serverLast = s.ServerLast
	case Client:
		c.fromClient(s.Data, s.At)
	case Server:
		c.fromServer(s.Data, s.At)
	case ServerEnd:
		c.serverEnded(s.At)
	case Close:
		err := errClosed
		if len(s.Data) > 0 {
			err = fmt.Errorf("%w: %s", errClosed, s.Data)
		}
		a.drop(c, err)
	}
}

// End breaks what is not over yet, as if all connections were closed.
func (a *Assembler) End() {
	ids := make([]uint64, 0, len(a.conns))
	for id := range a.conns {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		a.drop(a.conns[id], errEnded)
	}
}

func (a *Assembler) drop(c *conn, err error) {
	c.abandon(err)
	delete(a.conns, c.id)
	if a.observer.Closed != nil {
		a.observer.Closed(c.id)
	}
}

// A conn is a connection on which messages are made out.
type conn struct {
	a  *Assembler
	id uint64
	// Until it is synced, what is said has no sense. It becomes so when the client speaks after the server.
	synced     bool
	serverLast bool
	opaque     bool // it is not HTTP any more

	open     []*Exchange // the oldest first; it is the one that is answered
	asking   *Exchange   // the one whose request is being read, the last of open; nil between requests
	in, out  parser
	answered bool // the oldest has its answer, but its request has not come to its end
}

// abandon breaks what is under way. The connection has to be synced again.
func (c *conn) abandon(err error) {
	open := c.open
	*c = conn{a: c.a, id: c.id, opaque: c.opaque}
	for _, x := range open {
		x.Broken = err
		c.done(x)
	}
}

func (c *conn) done(x *Exchange) {
	if c.a.observer.Done != nil {
		c.a.observer.Done(x)
	}
}

func (c *conn) fromClient(data []byte, at Moment) {
	if !c.synced && c.serverLast {
		c.synced = true
	}
	c.serverLast = false
	if !c.synced || c.opaque {
		return
	}
	if err := c.readRequests(data, at); err != nil {
		c.abandon(fmt.Errorf("request: %w", err))
	}
}

func (c *conn) readRequests(data []byte, at Moment) error {
	for len(data) > 0 {
		if c.asking == nil {
			head, rest, err := c.in.head(data, at)
			if head == nil || err != nil {
				return err
			}
			data = rest
			req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
			if err != nil {
				return err
			}
			c.asking = &Exchange{Conn: c.id, Request: req, RequestBody: Body{First: c.in.first}}
			c.open = append(c.open, c.asking)
			c.in.begin(req.ContentLength, chunked(req.TransferEncoding))
			if req.ContentLength < 0 && !c.in.chunked {
				return errors.New("a body without a length")
			}
			req.Body = http.NoBody
		}
		x := c.asking
		rest, whole, err := c.in.body(&x.RequestBody, data, c.a.maxBody)
		x.RequestBody.Last = at
		if err != nil {
			return err
		}
		data = rest
		if !whole {
			continue
		}
		x.RequestBody.Whole = true
		if c.in.trailer != nil {
			x.Request.Trailer = c.in.trailer
		}
		c.asking = nil
		if c.answered {
			c.finish()
		} else if c.a.observer.Asked != nil {
			c.a.observer.Asked(x)
		}
	}
	return nil
}

func (c *conn) fromServer(data []byte, at Moment) {
	c.serverLast = true
	if !c.synced || c.opaque {
		return
	}
	if err := c.readResponses(data, at); err != nil {
		c.abandon(fmt.Errorf("answer: %w", err))
		c.serverLast = true
	}
}

func (c *conn) readResponses(data []byte, at Moment) error {
	for len(data) > 0 {
		switch {
		case len(c.open) == 0:
			return errUnasked
		case c.answered:
			return errTooEarly
		}
		x := c.open[0]
		if x.Response == nil {
			head, rest, err := c.out.head(data, at)
			if head == nil || err != nil {
				return err
			}
			data = rest
			resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), x.Request)
			if err != nil {
				return err
			}
			if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
				continue
			}
			c.answer(x, resp)
		}
		rest, whole, err := c.out.body(&x.ResponseBody, data, c.a.maxBody)
		x.ResponseBody.Last = at
		if err != nil {
			return err
		}
		data = rest
		if whole {
			if c.answerWhole(x); c.opaque {
				return nil
			}
		}
	}
	return nil
}

// answer takes the header of the answer to x.
func (c *conn) answer(x *Exchange, resp *http.Response) {
	length := resp.ContentLength
	if x.Request.Method == http.MethodHead || resp.StatusCode == http.StatusSwitchingProtocols ||
		x.Request.Method == http.MethodConnect && resp.StatusCode/100 == 2 {
		length = 0
	}
	c.out.begin(length, length != 0 && chunked(resp.TransferEncoding))
	resp.Body = http.NoBody
	x.Response = resp
	x.ResponseBody.First = c.out.first
}

// answerWhole notes that the answer to the oldest exchange has come to its end.
func (c *conn) answerWhole(x *Exchange) {
	x.ResponseBody.Whole = true
	if c.out.trailer != nil {
		x.Response.Trailer = c.out.trailer
	}
	if x.Response.StatusCode == http.StatusSwitchingProtocols || x.Request.Method == http.MethodConnect &&
		x.Response.StatusCode/100 == 2 {
		c.opaque = true
	}
	c.answered = true
	if x.RequestBody.Whole {
		c.finish()
	}
}

// finish gives the oldest exchange away.
func (c *conn) finish() {
	x := c.open[0]
	c.open = c.open[1:]
	c.answered = false
	c.done(x)
}

// serverEnded ends an answer that lasts until then.
func (c *conn) serverEnded(at Moment) {
	if !c.synced || len(c.open) == 0 || c.answered {
		return
	}
	if x := c.open[0]; x.Response != nil && c.out.untilEnd {
		x.ResponseBody.Last = at
		c.answerWhole(x)
	}
}

func chunked(encodings []string) bool {
	return len(encodings) == 1 && encodings[0] == "chunked"
}
