package lambda

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
)

// newEvent returns a target whose Invoke API answers as handler does.
func newEvent(t *testing.T, d *Destination, handler http.HandlerFunc) *Event {
	t.Helper()
	target := newTarget(t, handler)
	return NewEvent(EventOptions{
		Client: target.opts.Client, Function: target.opts.Function, Qualifier: target.opts.Qualifier, Destination: d,
	})
}

func taken(id string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Requestid", id)
		w.WriteHeader(http.StatusAccepted)
	}
}

// newDestination returns one whose queue is served by handler.
func newDestination(t *testing.T, handler http.HandlerFunc) *Destination {
	t.Helper()
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
	})
	return NewDestination(DestinationOptions{
		Client: newSQS(server.URL, client), Queue: server.URL + "/1/records", Board: completion.NewBoard(),
	})
}

func newSQS(url string, client *http.Client) *sqs.Client {
	return sqs.New(sqs.Options{
		BaseEndpoint: &url, Region: "eu-west-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: client, RetryMaxAttempts: 1,
	})
}

func TestAnEventWithoutADestinationIsUnknown(t *testing.T) {
	mark := capture.Mark{Run: "r", Invocation: "i", Target: "lambda"}
	target := newEvent(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Invocation-Type") != "Event" || r.URL.Query().Get("Qualifier") != "live" ||
			r.Header.Get("X-Amz-Client-Context") != mark.ClientContext() {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		if body, _ := io.ReadAll(r.Body); string(body) != `{"n":1.0}` {
			t.Errorf("event %s", body)
		}
		taken("q1")(w, r)
	})
	out, err := target.Fire(replay.WithMark(t.Context(), mark), event(`{"n":1.0}`))
	if out != nil || err == nil || !strings.Contains(err.Error(), "q1 was taken; without a destination") {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestWhatIsNotInvokedAsynchronouslyIsRefused(t *testing.T) {
	target := newEvent(t, nil, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	large := `"` + strings.Repeat("x", MaxEventPayload-1) + `"`
	for name, inv := range map[string]*capture.Invocation{
		"HTTP": httpEvent("GET", "/", "", ""), "over 1 MB": event(large),
		"SQS": {Trigger: capture.TriggerSQS, Format: capture.FormatSQS, Event: []byte(`{}`)},
	} {
		out, err := target.Fire(t.Context(), inv)
		if target.Check(inv) == nil || err != nil || out.Status != capture.StatusUnreplayable {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if err := target.Check(event(large[1:])); err != nil {
		t.Errorf("1 MB: %v", err)
	}
}

// refuseSQS answers as SQS does.
func refuseSQS(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"__type":"com.amazonaws.sqs#`+code+`","message":"no"}`)
}

func TestNothingIsFiredThatNobodyWouldHearOf(t *testing.T) {
	d := newDestination(t, func(w http.ResponseWriter, _ *http.Request) { refuseSQS(w, 400, "QueueDoesNotExist") })
	target := newEvent(t, d, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	_, err := target.Fire(t.Context(), event(`{}`))
	var setup *replay.SetupError
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "/1/records") {
		t.Errorf("a queue that is not there: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	d = newDestination(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	target = newEvent(t, d, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	if _, err := target.Fire(ended, event(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("a queue that does not answer: %v", err)
	}
}

func TestADestinationThatFailsFailsThoseWhoWait(t *testing.T) {
	waits := make(chan struct{})
	asked := 0
	d := newDestination(t, func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, `{}`)
			return
		}
		<-waits
		refuseSQS(w, 403, "AccessDenied")
	})
	target := newEvent(t, d, func(w http.ResponseWriter, r *http.Request) {
		close(waits)
		taken("q1")(w, r)
	})
	_, err := target.Fire(t.Context(), event(`{}`))
	if err == nil || !strings.Contains(err.Error(), "q1 was taken, and no record of it came") {
		t.Errorf("got %v", err)
	}
	if len(d.expected) > 0 || len(d.held) > 0 || d.session != nil {
		t.Errorf("left behind: %+v", d)
	}
}

func TestWhatLambdaRefusesIsToldAsOfAnInvoke(t *testing.T) {
	d := newDestination(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{}`)
	})
	target := newEvent(t, d, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-ErrorType", "TooManyRequestsException")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err := target.Fire(t.Context(), event(`{}`))
	var again *replay.ThrottledError
	if !errors.As(err, &again) || again.After != 7*time.Second {
		t.Errorf("got %v", err)
	}
}
