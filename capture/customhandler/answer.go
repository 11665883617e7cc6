package customhandler

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/capture/wiretap"
)

// answered tells whether the answer came to its end and was kept.
func answered(x *wiretap.Exchange) bool {
	return x.Response != nil && x.ResponseBody.Whole && !x.ResponseBody.Cut()
}

// brokenOff tells why an invocation failed that is not answered, as the host sees it: the connection was closed, or
// what came was no HTTP. It is nil when the answer was only not copied, for then nobody knows.
func brokenOff(x *wiretap.Exchange) *capture.Error {
	if x.Broken != nil && !errors.Is(x.Broken, wiretap.ErrUnseen) {
		return &capture.Error{Type: "HandlerGone", Message: x.Broken.Error()}
	}
	return nil
}

// result tells how the invocation ended; the response is nil when it failed. Known is false when its answer was not
// seen.
func (c *call) result() (resp *Response, failed *capture.Error, known bool) {
	if c.x.Response != nil {
		if failed, _ = Failure(c.x.Response.StatusCode, nil); failed != nil {
			return nil, failed, true
		}
	}
	if !answered(c.x) {
		failed = brokenOff(c.x)
		return nil, failed, failed != nil
	}
	answer := *c.x.Response
	answer.Body = io.NopCloser(bytes.NewReader(c.x.ResponseBody.Bytes))
	resp, err := ReadResponse(&answer)
	failed, err = Failure(answer.StatusCode, err)
	return resp, failed, err == nil
}

// httpOutcome is the outcome of an HTTP request in a payload: the answer that the host made of the handler's outputs.
// It is nil when that is not known.
func (c *call) httpOutcome() *capture.Outcome {
	resp, failed, known := c.result()
	switch {
	case !known:
		return nil
	case failed != nil:
		return translate.Failed(failed)
	}
	output, ok := c.function.httpOutput()
	if !ok {
		return translate.HTTPOutcome(http.StatusNoContent, nil, nil)
	}
	a, err := resp.HTTP(output)
	if err != nil {
		return translate.Failed(&capture.Error{Type: malformed, Message: err.Error()})
	}
	out := translate.HTTPOutcome(a.Status, a.Header, a.Body)
	out.Result = resp.outputs(output)
	return out
}

// outputs is what the function gave to its output bindings, but for the HTTP one; nil if that is nothing.
func (r *Response) outputs(http string) *capture.Body {
	if r == nil {
		return nil
	}
	rest := Response{Outputs: make(map[string]json.RawMessage)}
	for name, value := range r.Outputs {
		if name != http && !isNull(value) {
			rest.Outputs[name] = value
		}
	}
	if http != Return && !isNull(r.ReturnValue) {
		rest.ReturnValue = r.ReturnValue
	}
	if len(rest.Outputs) == 0 && rest.ReturnValue == nil {
		return nil
	}
	return capture.NewBody("application/json", encode(rest))
}

// function returns what is known of a function, with what its payload tells where no function.json says more.
func (o *Observer) function(name string, req *Request) *Function {
	if fn := o.opts.App.Functions[name]; fn != nil {
		return fn
	}
	fn := &Function{Name: name}
	for binding, value := range req.Data {
		var request struct{ URL, Method string }
		isHTTP := json.Unmarshal(value, &request) == nil && request.URL != "" && request.Method != ""
		if isHTTP || len(req.Data) == 1 {
			fn.Trigger.Name = binding
		}
		if isHTTP {
			fn.Trigger.Type = "httpTrigger"
			fn.Outputs = []Binding{{Type: "http", Direction: "out", Name: "res"}}
			return fn
		}
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if _, ok := req.Metadata[name]; !ok {
				return false
			}
		}
		return fn.Trigger.Name != ""
	}
	switch {
	case has("DequeueCount", "PopReceipt", "Id"):
		fn.Trigger.Type = "queueTrigger"
	case has("Uri", "Properties"):
		fn.Trigger.Type = "blobTrigger"
	case has("SequenceNumber", "LockToken"):
		fn.Trigger.Type = "serviceBusTrigger"
	}
	return fn
}
