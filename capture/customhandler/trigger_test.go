package customhandler

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture/translate"
)

// sent is req as a handler reads it.
func sent(t *testing.T, req *Request) *Request {
	t.Helper()
	read, err := ParseRequest(encode(req))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestAPayloadComesApartAsItWasMade(t *testing.T) {
	second := noon.Truncate(time.Second) // payloads have whole seconds
	for _, body := range []string{"", "hi", `"hi"`, `{"a":1.0}`, "7", "null", "aGk=", "\"", "ä\x00\n"} {
		for _, binary := range []bool{false, true} {
			queue := QueueTrigger{
				Body: []byte(body), Binary: binary, ID: "7", DequeueCount: 2, PopReceipt: "p\"q",
				Inserted: second, Expires: second.Add(time.Hour), NextVisible: second.Add(time.Minute),
			}
			gotQueue, err := sent(t, queue.Request("m", sys)).Queue("m", binary)
			if diff := cmp.Diff(queue, gotQueue); diff != "" || err != nil {
				t.Errorf("queue, %q, binary %v: %v %s", body, binary, err, diff)
			}
			for _, account := range []string{"https://a.blob.core.windows.net", "http://127.0.0.1:10000/devstoreaccount1"} {
				blob := BlobTrigger{
					AccountURL: account, Container: "c", Name: "x y/ü+%2F.csv", Body: []byte(body), Binary: binary,
					ContentType: "text/csv", ETag: `"0x8"`, Modified: second, Metadata: map[string]string{"a": "b"},
				}
				gotBlob, err := sent(t, blob.Request("b", sys)).Blob("b", binary)
				if diff := cmp.Diff(blob, gotBlob); diff != "" || err != nil {
					t.Errorf("blob, %q, binary %v: %v %s", body, binary, err, diff)
				}
			}
		}
	}
	for _, media := range []string{"text/plain", "application/octet-stream"} {
		request := HTTPTrigger{
			URL: "https://h/api/x?a=1&a=2", Method: "POST", Header: http.Header{"Content-Type": {media}, "X": {"1", "2"}},
			Params: map[string]string{"id": "7"}, Body: []byte("\"hi\""),
		}
		req, err := request.Request("req", sys)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sent(t, req).HTTP("req")
		if diff := cmp.Diff(request, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", media, err, diff)
		}
	}
}

func TestABinaryBlobIsKnownByItsLength(t *testing.T) {
	for _, body := range []string{"test", "\xff\x00", "aGk="} {
		for _, binary := range []bool{false, true} {
			if !binary && strings.Contains(body, "\xff") {
				continue // no text
			}
			blob := BlobTrigger{AccountURL: "https://a", Container: "c", Name: "n", Body: []byte(body), Binary: binary}
			if got, err := sent(t, blob.Request("b", sys)).Blob("b", false); err != nil || string(got.Body) != body {
				t.Errorf("%q, binary %v: got %q, %v", body, binary, got.Body, err)
			}
		}
	}
}

func TestWaysInWhichHostsWriteServiceBusMessages(t *testing.T) {
	want := translate.ServiceBusMessage{
		ID: "m", SessionID: "s", SequenceNumber: 9007199254740993, Body: []byte("hi"), DeliveryCount: 2, LockToken: "l",
		Enqueued:   time.Date(2026, 5, 4, 12, 0, 0, 250e6, time.UTC),
		Properties: map[string]any{"n": json.Number("1.0"), "t": "x"},
	}
	tests := []struct{ name, metadata string }{
		{"encoded twice", `{"MessageId":"\"m\"","SessionId":"\"s\"","SequenceNumber":"9007199254740993","DeliveryCount":"2",
			"LockToken":"\"l\"","EnqueuedTimeUtc":"\"2026-05-04T12:00:00.25Z\"","ApplicationProperties":{"n":1.0,"t":"x"}}`},
		{"encoded once", `{"MessageId":"m","SessionId":"s","SequenceNumber":9007199254740993,"DeliveryCount":2,
			"LockToken":"l","EnqueuedTimeUtc":"2026-05-04T12:00:00.25","UserProperties":"{\"n\":1.0,\"t\":\"x\"}"}`},
	}
	for _, tt := range tests {
		req, err := ParseRequest([]byte(`{"Data":{"b":"hi"},"Metadata":` + tt.metadata + `}`))
		if err != nil {
			t.Fatal(err)
		}
		got, err := req.ServiceBus("b", false)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", tt.name, err, diff)
		}
	}
}

func TestWhatATriggerCannotHaveSentIsAnError(t *testing.T) {
	req, err := ParseRequest([]byte(`{"Data":{"b":"%","h":{"Url":"/"},"f":{"Url":"/","Method":"PUT","Body":"%",
		"Headers":{"Content-Type":"multipart/form-data; boundary=x"}}},
		"Metadata":{"Id":"7","SequenceNumber":[1],"Uri":"https://h/only-a-container"}}`))
	if err != nil {
		t.Fatal(err)
	}
	_, binary := req.Queue("b", true)
	_, missing := req.Queue("x", false)
	_, batch := req.ServiceBus("b", false)
	_, blob := req.Blob("b", false)
	_, method := req.HTTP("h")
	_, form := req.HTTP("f")
	_, none := req.HTTP("b")
	for want, err := range map[string]error{
		"value of b: illegal base64": binary, "no value for the binding x": missing, "no SequenceNumber": batch,
		"no Uri": blob, "no Method": method, "body in f: illegal base64": form, "not an HTTP request": none,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
