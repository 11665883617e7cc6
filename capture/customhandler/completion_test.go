package customhandler

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/wiretap"
)

// exchanged is a call of a function with that payload, and the handler's answer. Without a status there is none.
func exchanged(t *testing.T, function string, payload any, status int, answer string) *wiretap.Exchange {
	t.Helper()
	body, ok := payload.(string)
	if !ok {
		body = string(encode(payload))
	}
	head := "POST /" + function + " HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-Invocationid: 0AbC\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte(head))))
	if err != nil {
		t.Fatal(err)
	}
	asked, done := wiretap.Moment{Wall: noon}, wiretap.Moment{Wall: noon.Add(time.Second)}
	x := &wiretap.Exchange{Request: r, RequestBody: wiretap.Body{
		Bytes: []byte(body), Size: int64(len(body)), Whole: true, First: asked, Last: asked,
	}}
	if status == 0 {
		x.Broken = wiretap.ErrUnseen
		return x
	}
	x.Response = &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}}
	x.ResponseBody = wiretap.Body{
		Bytes: []byte(answer), Size: int64(len(answer)), Whole: true, First: done, Last: done,
	}
	return x
}

func payloadOf(binding, value string, metadata map[string]string) *Request {
	r := &Request{Data: map[string]json.RawMessage{binding: json.RawMessage(value)}, Metadata: map[string]json.RawMessage{}}
	for name, doc := range metadata {
		r.Metadata[name] = json.RawMessage(doc)
	}
	return r
}

func TestItIsToldWhatACallWasAbout(t *testing.T) {
	app := &App{Functions: map[string]*Function{
		"hub":  {Name: "hub", Trigger: Binding{Type: "eventHubTrigger", Name: "e"}},
		"grid": {Name: "grid", Trigger: Binding{Type: "eventGridTrigger", Name: "e"}},
		"sb":   {Name: "sb", Trigger: Binding{Type: "serviceBusTrigger", Name: "m"}},
	}}
	queue := QueueTrigger{ID: "m1", DequeueCount: 2, PopReceipt: "p", Body: []byte("{}")}.Request("m", sys)
	blob := BlobTrigger{AccountURL: "https://a.blob.core.windows.net", Container: "c", Name: "a b/ü.csv", ETag: `"0x8"`}
	web, err := HTTPTrigger{URL: "https://h/api/x", Method: "GET"}.Request("req", sys)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, function string
		payload        any
		about          []Subject
		attempt        int
	}{
		{"a Storage Queue", "any", queue, []Subject{{Message: "m1"}}, 2},
		{"a blob, of whose deliveries the host does not tell", "any", blob.Request("b", sys),
			[]Subject{{Blob: &UploadedBlob{"c", "a b/ü.csv", "0x8"}}}, 0},
		{"Service Bus", "sb", payloadOf("m", `"\"hi\""`, map[string]string{
			"MessageId": `"\"id 1\""`, "DeliveryCount": `"3"`, "SequenceNumber": `"9"`,
		}), []Subject{{Message: "id 1"}}, 3},
		{"a batch of Service Bus", "sb", payloadOf("m", `"[\"a\",\"b\"]"`, map[string]string{
			"MessageIdArray": `"[\"1\",\"2\"]"`, "DeliveryCountArray": `[2,2]`,
		}), []Subject{{Message: "1"}, {Message: "2"}}, 2},
		{"a batch whose messages were delivered differently often", "sb", payloadOf("m", `[]`, map[string]string{
			"MessageIdArray": `["1","2"]`, "DeliveryCountArray": `[2,3]`,
		}), []Subject{{Message: "1"}, {Message: "2"}}, 0},
		{"Event Grid", "grid", payloadOf("e", `{"id":"e1","eventType":"t","data":{"id":"no"}}`, nil), []Subject{{Event: "e1"}}, 0},
		{"Event Grid in a text", "grid", payloadOf("e", `"{\"id\":\"e1\",\"eventType\":\"t\"}"`, nil), []Subject{{Event: "e1"}}, 0},
		{"CloudEvents, a batch", "any", payloadOf("e", `[{"id":"1","specversion":"1.0"},{"id":"2","specversion":"1.0"}]`, nil),
			[]Subject{{Event: "1"}, {Event: "2"}}, 0},
		{"Event Hubs", "hub", payloadOf("e", `"x"`, map[string]string{"Properties": `{"tandem-id":"e1","a":1}`}),
			[]Subject{{Event: "e1"}}, 0},
		{"Event Hubs, a batch with events of others", "hub", payloadOf("e", `["x","y","z"]`, map[string]string{
			"PropertiesArray": `"[{\"tandem-id\":\"1\"},{},{\"tandem-id\":\"3\"}]"`,
		}), []Subject{{Event: "1"}, {Event: "3"}}, 0},
		{"Event Hubs, without IDs", "hub", payloadOf("e", `"x"`, map[string]string{"Properties": `{}`}), nil, 0},
		{"an HTTP request, whose caller has its answer", "any", web, nil, 0},
		{"a timer", "any", payloadOf("t", `{"IsPastDue":false}`, nil), nil, 0},
		{"no payload", "any", "hello", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := NewObserver(ObserverOptions{App: app})
			if err != nil {
				t.Fatal(err)
			}
			c, err := o.Complete(exchanged(t, tt.function, tt.payload, 200, `{"Outputs":{}}`))
			if err != nil || (c == nil) != (tt.about == nil) {
				t.Fatalf("%+v, %v", c, err)
			}
			if c == nil {
				return
			}
			want := &Completion{
				Function: tt.function, Invocation: "0abc", Time: noon.Add(time.Second), About: tt.about, Attempt: tt.attempt,
				Outcome: &capture.Outcome{Status: capture.StatusOK},
			}
			want.Outcome.DurationMS = c.Outcome.DurationMS
			if diff := cmp.Diff(want, c); diff != "" {
				t.Error(diff)
			}
			if back, err := ReadCompletion(roundTrip(t, c)); err != nil || cmp.Diff(c, back) != "" {
				t.Errorf("%v %s", err, cmp.Diff(c, back))
			}
		})
	}
}

// roundTrip brings c over the wire.
func roundTrip(t *testing.T, c *Completion) *capture.Invocation {
	t.Helper()
	carrier := c.Carrier()
	carrier.ID = "1"
	line, err := carrier.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := capture.ParseInvocation(line)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestItIsToldHowACallEnded(t *testing.T) {
	app := func(outputs ...Binding) *App {
		return &App{Functions: map[string]*Function{
			"f": {Name: "f", Trigger: Binding{Type: "queueTrigger", Name: "m"}, Outputs: outputs},
		}}
	}
	message := QueueTrigger{ID: "m1", DequeueCount: 1, PopReceipt: "p"}.Request("m", sys)
	gone := exchanged(t, "f", message, 0, "")
	gone.Broken = errors.New("the connection was closed before its end")
	large := exchanged(t, "f", message, 200, "{}")
	large.RequestBody.Size++
	for _, tt := range []struct {
		name   string
		app    *App
		x      *wiretap.Exchange
		status capture.Status
		open   bool
		err    bool
	}{
		{"it succeeded", app(), exchanged(t, "f", message, 200, `{"Outputs":{},"ReturnValue":null}`), capture.StatusOK, false, false},
		{"it has no bindings for its outputs", app(), exchanged(t, "f", message, 200, `{"Outputs":{"q":"x"}}`), capture.StatusOK,
			false, false},
		{"the host has outputs to write", app(Binding{Type: "queue", Name: "q"}),
			exchanged(t, "f", message, 200, `{"Outputs":{"q":"x"}}`), capture.StatusOK, true, false},
		{"perhaps it has", &App{}, exchanged(t, "f", message, 200, `{"ReturnValue":"x"}`), capture.StatusOK, true, false},
		{"it failed", app(), exchanged(t, "f", message, 500, "SECRET"), capture.StatusFunctionError, false, false},
		{"its answer is none that the host can read", app(), exchanged(t, "f", message, 200, "SECRET"),
			capture.StatusFunctionError, false, false},
		{"the handler died", app(), gone, capture.StatusFunctionError, false, false},
		{"nobody saw the answer", app(), exchanged(t, "f", message, 0, ""), "", false, true},
		{"the payload was not kept", app(), large, "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := NewObserver(ObserverOptions{App: tt.app})
			if err != nil {
				t.Fatal(err)
			}
			c, err := o.Complete(tt.x)
			if (err != nil) != tt.err || (c == nil) != tt.err {
				t.Fatalf("%+v, %v", c, err)
			}
			if c == nil {
				return
			}
			if c.Outcome.Status != tt.status || c.Open != tt.open || c.Outcome.Result != nil {
				t.Errorf("%+v with %+v", c, c.Outcome)
			}
			if bytes.Contains([]byte(fmt.Sprint(string(encode(c.Outcome)))), []byte("SECRET")) {
				t.Errorf("it has what the handler answered: %+v", c.Outcome.Error)
			}
		})
	}
}

// What comes from the network is a completion or an error.
func FuzzReadCompletion(f *testing.F) {
	f.Add([]byte(`{"about":[{"message":"1"},{"blob":{"container":"c","name":"n"}}],"attempt":1}`))
	f.Add([]byte(`{"attempt":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, event []byte) {
		inv := &capture.Invocation{ID: "1", Format: formatCompletion, Event: event, Outcome: &capture.Outcome{Status: "ok"}}
		c, err := ReadCompletion(inv)
		if err == nil && (c.Attempt < 0 || c.Outcome == nil) {
			t.Errorf("%+v", c)
		}
		if err != nil {
			return
		}
		if back, err := ReadCompletion(c.Carrier()); err != nil || cmp.Diff(c.About, back.About) != "" {
			t.Errorf("%v %s", err, cmp.Diff(c.About, back.About))
		}
	})
}
