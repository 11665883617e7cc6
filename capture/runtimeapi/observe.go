package runtimeapi

import (
	"net/http"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/wiretap"
)

// Observer returns what a wiretap between the runtime and the Runtime API is to tell.
func (r *Recorder) Observer() wiretap.Observer {
	return wiretap.Observer{
		Opened: func(uint64) { r.countConns(1) },
		Closed: func(uint64) { r.countConns(-1) },
		Asked:  r.asked,
		Done:   r.done,
	}
}

// asked notes that the runtime waits for an event.
func (r *Recorder) asked(x *wiretap.Exchange) {
	defer r.recover()
	if !isNext(x.Request) {
		return
	}
	r.giveUp(r.opts.Concurrency-1, noOutcome)
	r.ask(1)
}

// done notes what has come of a request.
func (r *Recorder) done(x *wiretap.Exchange) {
	defer r.recover()
	if isNext(x.Request) {
		// Without an ID it is what a server says to a runtime that has gone, at most.
		if x.Response != nil && x.Response.StatusCode == http.StatusOK && x.Response.Header.Get(headerRequestID) != "" {
			r.delivered(x)
		}
		if x.RequestBody.Whole {
			r.ask(-1)
		}
		return
	}
	id, failed, ok := postedTo(x.Request)
	if !ok || x.Response == nil {
		return
	}
	at := x.ResponseBody.First
	switch x.Response.StatusCode {
	case http.StatusAccepted:
		r.end(id, &at, func(inv *capture.Invocation) *capture.Outcome { return outcomeOf(inv, x, failed) })
	case http.StatusRequestEntityTooLarge:
		r.end(id, &at, func(inv *capture.Invocation) *capture.Outcome {
			return capture.LambdaOutcome(inv.Format, inv.Event, tooLarge().Payload, Unhandled)
		})
	}
	// After any other status the runtime may try again.
}

// delivered notes that the runtime has been given an event.
func (r *Recorder) delivered(x *wiretap.Exchange) {
	at := x.ResponseBody.First
	p := &pending{
		event: x.ResponseBody, broken: x.Broken, since: at, noted: time.Now(),
		inv: &capture.Invocation{
			Function: r.opts.Function,
			Source:   r.opts.Source,
			Time:     at.Wall,
			Context:  contextOf(x.Response.Header, at.Wall),
		},
	}
	if p.inv.Function == "" {
		p.inv.Function = functionName(p.inv.Context.FunctionARN)
	}
	_, marked := capture.MarkFromClientContext(p.inv.Context.ClientContext)
	if !marked { // it may have come through a gateway
		_, marked = capture.MarkFromEvent(x.ResponseBody.Bytes)
	}
	p.replay = marked && !r.opts.RecordReplays

	r.mu.Lock()
	defer r.mu.Unlock()
	p.inv.Context.ColdStart = !r.warm
	r.warm = true
	if p.replay {
		r.stats.Replays++
	}
	r.pending = append(r.pending, p)
}

// outcomeOf makes the outcome of what the runtime posted in x, which the upstream has accepted.
func outcomeOf(inv *capture.Invocation, x *wiretap.Exchange, failed bool) *capture.Outcome {
	if !x.RequestBody.Whole || x.RequestBody.Cut() {
		return &capture.Outcome{Status: capture.StatusUnknown}
	}
	payload, functionError := x.RequestBody.Bytes, ""
	if failed {
		functionError = Unhandled
	} else if x.Request.Trailer.Get(headerErrorType) != "" {
		resp := trailerError(x.Request.Trailer)
		payload, functionError = resp.Payload, resp.FunctionError
	}
	return capture.LambdaOutcome(inv.Format, inv.Event, payload, functionError)
}

func isNext(req *http.Request) bool {
	return req.Method == http.MethodGet && req.URL.Path == apiPath+"invocation/next"
}

// postedTo tells which invocation a request posts an answer to, and whether the answer is an error.
func postedTo(req *http.Request) (id string, failed, ok bool) {
	rest, ok := strings.CutPrefix(req.URL.Path, apiPath+"invocation/")
	if !ok || req.Method != http.MethodPost {
		return "", false, false
	}
	id, what, _ := strings.Cut(rest, "/")
	return id, what == "error", what == "error" || what == "response"
}
