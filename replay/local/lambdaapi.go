package local

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
)

// Handler serves the Invoke API for the AWS SDKs, the aws command line and other clients; a signature is not looked
// at. With Effects set, it also serves what [effects.Server.Handler] does, under /tandem/.
//
// Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
func (l *Lambda) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", l.serveInvoke)
	if l.opts.Effects != nil {
		mux.Handle("/tandem/", l.opts.Effects.Handler())
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeLambdaError(w, newRequestID(), &LambdaError{
			Status: http.StatusNotFound, Type: "UnknownOperationException",
			Message: "The embedded Lambda platform serves only Invoke, not " + r.Method + " " + r.URL.Path,
		})
	})
	return mux
}

func (l *Lambda) serveInvoke(w http.ResponseWriter, r *http.Request) {
	id, err := l.answerInvoke(w, r)
	if err == nil {
		return
	}
	var refused *LambdaError
	switch {
	case errors.As(err, &refused):
	case r.Context().Err() != nil:
		return // the client is gone
	default:
		refused = &LambdaError{Status: http.StatusInternalServerError, Type: "ServiceException", Message: err.Error()}
	}
	writeLambdaError(w, id, refused)
}

// answerInvoke answers an Invoke request, or returns why it cannot; nothing has been written then.
func (l *Lambda) answerInvoke(w http.ResponseWriter, r *http.Request) (id string, err error) {
	id = newRequestID() // for a request that does not become an invocation
	invocationType := r.Header.Get("X-Amz-Invocation-Type")
	limit := maxSyncPayload
	switch invocationType {
	case "":
		invocationType = "RequestResponse"
	case "Event":
		limit = maxAsyncPayload
	case "RequestResponse", "DryRun":
	default:
		return id, invalidParameter("Value '" + invocationType + "' at 'invocationType' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [Event, RequestResponse, DryRun]")
	}
	req := LambdaRequest{
		Function:      r.PathValue("name"),
		Qualifier:     r.URL.Query().Get("Qualifier"),
		ClientContext: r.Header.Get("X-Amz-Client-Context"),
		TraceID:       r.Header.Get("X-Amzn-Trace-Id"),
	}
	if _, err := l.find(req.Function, req.Qualifier); err != nil {
		return id, err
	}
	if req.Payload, err = readEvent(r, invocationType, limit); err != nil {
		return id, err
	}
	switch invocationType {
	case "DryRun":
		if err := l.Check(req); err != nil {
			return id, err
		}
		writeStatus(w, id, http.StatusNoContent)
	case "Event":
		id, err := l.RunLater(req)
		if err != nil {
			return id, err
		}
		writeStatus(w, id, http.StatusAccepted)
	default:
		resp, err := l.Run(r.Context(), req)
		if err != nil {
			return id, err
		}
		writeResponse(w, resp, r.Header.Get("X-Amz-Log-Type") == "Tail")
	}
	return id, nil
}

func invalidParameter(message string) error {
	return &LambdaError{Status: http.StatusBadRequest, Type: "InvalidParameterValueException", Message: message}
}

// readEvent reads a request's body. How much too large one is, is part of the message, so it is read to its end.
func readEvent(r *http.Request, invocationType string, limit int) ([]byte, error) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err == nil && len(payload) > limit {
		rest, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			return nil, payloadTooLarge(int64(len(payload))+rest, invocationType, limit)
		}
	}
	if err != nil {
		return nil, &LambdaError{
			Status: http.StatusBadRequest, Type: "InvalidRequestContentException",
			Message: "The request body could not be read: " + err.Error(),
		}
	}
	return payload, nil
}

// maxClientContext is the most that X-Amz-Client-Context may have, in bytes, encoded.
const maxClientContext = 3583

// decodeClientContext returns the JSON object that the value of X-Amz-Client-Context holds, on one line; nil for
// none. The error is a [*LambdaError].
func decodeClientContext(value string) ([]byte, error) {
	if value == "" {
		return nil, nil
	}
	if len(value) > maxClientContext {
		return nil, &LambdaError{
			Status: http.StatusBadRequest, Type: "InvalidRequestContentException",
			Message: "Client context must be less than " + strconv.Itoa(maxClientContext) + " bytes.",
		}
	}
	doc, err := base64.StdEncoding.DecodeString(value)
	var object map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(doc, &object)
	}
	if err != nil || object == nil {
		return nil, &LambdaError{
			Status: http.StatusBadRequest, Type: "InvalidRequestContentException",
			Message: "Client context must be a valid Base64-encoded JSON object.",
		}
	}
	var line bytes.Buffer // the Runtime API has it in a header
	if err := json.Compact(&line, doc); err != nil {
		return nil, err
	}
	return line.Bytes(), nil
}

func writeStatus(w http.ResponseWriter, id string, status int) {
	w.Header().Set("X-Amzn-Requestid", id)
	w.WriteHeader(status)
}

func writeResponse(w http.ResponseWriter, resp *LambdaResponse, withLog bool) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(resp.Payload)))
	header.Set("X-Amzn-Requestid", resp.RequestID)
	header.Set("X-Amz-Executed-Version", "$LATEST")
	if resp.FunctionError != "" {
		header.Set("X-Amz-Function-Error", resp.FunctionError)
	}
	if withLog {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(resp.LogTail))
	}
	w.Write(resp.Payload) //nolint:errcheck // the client's loss
}

// writeLambdaError writes an error as Lambda does. The name of the message's member differs by type there.
func writeLambdaError(w http.ResponseWriter, id string, e *LambdaError) {
	doc := struct {
		Reason  string `json:"Reason,omitempty"`
		Type    string `json:"Type"`
		Message string `json:"Message,omitempty"`
		Lower   string `json:"message,omitempty"`
	}{Reason: e.Reason, Type: "User"}
	switch {
	case e.Status >= 500:
		doc.Type, doc.Message = "Service", e.Message
	case e.Type == "ResourceNotFoundException":
		doc.Message = e.Message
	default:
		doc.Lower = e.Message
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // strings always marshal
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Amzn-Requestid", id)
	header.Set("X-Amzn-Errortype", e.Type)
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	w.WriteHeader(e.Status)
	w.Write(body) //nolint:errcheck // the client's loss
}
