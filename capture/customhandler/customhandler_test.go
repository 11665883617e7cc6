package customhandler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon = time.Date(2026, 5, 4, 12, 0, 0, 250_000_000, time.UTC)
	sys  = Sys{MethodName: "fn", UTCNow: "2026-05-04T12:00:00.25Z", RandGUID: "g"}
)

const sysJSON = `"sys":{"MethodName":"fn","UtcNow":"2026-05-04T12:00:00.25Z","RandGuid":"g"}`

func TestPayloads(t *testing.T) {
	queue := QueueTrigger{
		Body: []byte(`{"a":"<ä>"}`), ID: "7", DequeueCount: 2, Inserted: noon, Expires: noon.Add(time.Hour),
		NextVisible: noon.Add(time.Minute), PopReceipt: "p",
	}
	queueMetadata := `"Metadata":{"DequeueCount":"2","ExpirationTime":"2026-05-04T13:00:00+00:00","Id":"\"7\"",` +
		`"InsertionTime":"2026-05-04T12:00:00+00:00","NextVisibleTime":"2026-05-04T12:01:00+00:00",` +
		`"PopReceipt":"\"p\"",` + sysJSON + `}`
	binaryQueue := queue
	binaryQueue.Binary = true
	blob := BlobTrigger{
		AccountURL: "https://a.blob.core.windows.net", Container: "c", Name: "x y/ü+.csv",
		Body: []byte("\xff"), Binary: true,
		ContentType: "text/csv", ETag: `"0x8"`, Modified: noon, Params: map[string]string{"name": "x y/ü+.csv"},
	}
	text := blob
	text.Body, text.Binary = []byte("test"), false
	blobMetadata := `"Metadata":{"Metadata":{},"Properties":{"ContentLength":%d,"ContentType":"text/csv",` +
		`"ETag":"\"0x8\"","LastModified":"2026-05-04T12:00:00+00:00"},` +
		`"Uri":"\"https://a.blob.core.windows.net/c/x%%20y/%%C3%%BC%%2B.csv\"","name":"\"x y/ü+.csv\"",` + sysJSON + `}`
	tests := []struct {
		name string
		req  *Request
		want string
	}{
		{"a text message is JSON in JSON", queue.Request("m", sys),
			`{"Data":{"m":"\"{\\\"a\\\":\\\"<ä>\\\"}\""},` + queueMetadata + `}`},
		{"a binary message is base64", binaryQueue.Request("m", sys),
			`{"Data":{"m":"eyJhIjoiPMOkPiJ9"},` + queueMetadata + `}`},
		{"a binary blob is base64", blob.Request("b", sys), `{"Data":{"b":"/w=="},` + fmt.Sprintf(blobMetadata, 1) + `}`},
		{"a text blob is JSON in JSON", text.Request("b", sys),
			`{"Data":{"b":"\"test\""},` + fmt.Sprintf(blobMetadata, 4) + `}`},
		{"any other text", TextRequest("t", "x", sys), `{"Data":{"t":"\"x\""},"Metadata":{` + sysJSON + `}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(encode(tt.req)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			parsed, err := ParseRequest([]byte(tt.want))
			if err != nil || string(encode(parsed)) != tt.want {
				t.Errorf("parsed and written again: %s, %v", encode(parsed), err)
			}
		})
	}
}

func TestHTTPPayload(t *testing.T) {
	trigger := HTTPTrigger{
		URL: "https://h/api/x?b=1&a=2&a=3", Method: "POST",
		Header: http.Header{"Content-Type": {"text/plain"}, "X": {"1", "2"}},
		Params: map[string]string{"id": "7"}, Body: []byte("hi"),
	}
	const want = `{"Data":{"req":{"Url":"https://h/api/x?b=1&a=2&a=3","Method":"POST","Query":{"a":"2,3","b":"1"},` +
		`"Headers":{"Content-Type":["%s"],"X":["1","2"]},"Params":{"id":"7"},"Identities":[]%s}},` +
		`"Metadata":{"Headers":{"Content-Type":"%[1]s","X":"1,2"},"Query":{"a":"2,3","b":"1"},` + sysJSON + `}}`
	tests := []struct{ name, contentType, body, want string }{
		{"text is text", "text/plain", "hi", `,"Body":"hi"`},
		{"an empty body is none", "text/plain", "", ""},
		{"bytes are base64", "application/octet-stream", "hi", `,"Body":"aGk="`},
		{"forms with files, too", "multipart/form-data; boundary=b", "hi", `,"Body":"aGk="`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			trigger.Body = []byte(tt.body)
			trigger.Header.Set("Content-Type", tt.contentType)
			req, err := trigger.Request("req", sys)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(encode(req)), fmt.Sprintf(want, tt.contentType, tt.want); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestTextUndoesTheSecondEncoding(t *testing.T) {
	req, err := ParseRequest([]byte(`{"Data":{"twice":"\"a\"","once":"a","number":"5","object":{},"null":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	for binding, want := range map[string]string{"twice": "a", "once": "a", "number": "5"} {
		if got, ok := req.Text(binding); !ok || got != want {
			t.Errorf("%s: got %q, %v", binding, got, ok)
		}
	}
	for _, binding := range []string{"object", "missing"} {
		if got, ok := req.Text(binding); ok {
			t.Errorf("%s: got %q", binding, got)
		}
	}
}

func TestHTTPOutputs(t *testing.T) {
	const text, doc = "text/plain; charset=utf-8", "application/json; charset=utf-8"
	tests := []struct {
		name, binding, response string
		status                  int
		contentType, body       string
	}{
		{"status as a number", "res", `{"Outputs":{"res":{"statusCode":201,"body":"x"}}}`, 201, text, "x"},
		{"status as text", "res", `{"Outputs":{"res":{"status":"404"}}}`, 404, "", ""},
		{"statusCode goes first", "res", `{"Outputs":{"res":{"status":404,"statusCode":"201"}}}`, 201, "", ""},
		{"no status, in any case", "res", `{"outputs":{"res":{"BODY":"x"}}}`, 200, text, "x"},
		{"a status that is none", "res", `{"Outputs":{"res":{"statusCode":"Created","body":"x"}}}`, 200, text, "x"},
		{"numbers keep their text", "res", `{"Outputs":{"res":{"body":{"n": 1.0}}}}`, 200, doc, `{"n":1.0}`},
		{"the handler's media type", "res",
			`{"Outputs":{"res":{"body":"<p>","headers":{"content-type":"text/html"}}}}`, 200, "text/html", "<p>"},
		{"base64 in a named output stays", "res", `{"Outputs":{"res":{"body":"test"}}}`, 200, text, "test"},
		{"no output", "res", `{"Outputs":{}}`, 200, "", ""},
		{"null everywhere", "res", `{"Outputs":{"res":{"body":null,"headers":null,"statusCode":null}}}`, 200, "", ""},
		{"a return value is the body", Return, `{"ReturnValue":"hello!"}`, 200, text, "hello!"},
		{"and decoded when it happens to be base64", Return, `{"ReturnValue":"te st"}`,
			200, "application/octet-stream", "\xb5\xeb-"},
		{"an object without a body is the body", Return, `{"ReturnValue":{"status":404}}`, 200, doc, `{"status":404}`},
		{"an object with a body is an answer", Return, `{"ReturnValue":{"status":404,"body":"test"}}`, 404, text, "test"},
		{"a number is JSON", Return, `{"ReturnValue":5}`, 200, doc, "5"},
		{"no return value", Return, `{"ReturnValue":null}`, 200, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := ParseResponse([]byte(tt.response))
			if err != nil {
				t.Fatal(err)
			}
			a, err := resp.HTTP(tt.binding)
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != tt.status || a.Header.Get("Content-Type") != tt.contentType || string(a.Body) != tt.body {
				t.Errorf("got %d %q %q", a.Status, a.Header.Get("Content-Type"), a.Body)
			}
		})
	}
}

func TestHTTPOutputErrors(t *testing.T) {
	tests := []struct{ name, output, want string }{
		{"text", `"x"`, "output res: it is a text and no object"},
		{"null", `null`, "and no object"},
		{"a status out of range", `{"status":99}`, "99 cannot be the status"},
		{"a list as a header", `{"headers":{"Set-Cookie":["a","b"]}}`, `header Set-Cookie is a list and not text`},
		{"headers that are a list", `{"headers":["a"]}`, "headers are a list and not an object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := ParseResponse([]byte(`{"Outputs":{"res":` + tt.output + `}}`))
			if err != nil {
				t.Fatal(err)
			}
			if a, err := resp.HTTP("res"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want %q", a, err, tt.want)
			}
		})
	}
}

func TestOtherOutputs(t *testing.T) {
	resp, err := ParseResponse([]byte(`{"Outputs":{"t":"test","s":"not base64!","o":{"a": 1},"n":null},"Logs":["a",1]}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		binding string
		binary  bool
		want    string
		ok      bool
	}{
		{"t", false, "\xb5\xeb-", true},
		{"t", true, "test", true},
		{"s", false, "not base64!", true},
		{"o", false, `{"a":1}`, true},
		{"n", false, "", false},
		{"missing", false, "", false},
	}
	for _, tt := range tests {
		if got, ok := resp.Output(tt.binding, tt.binary); string(got) != tt.want || ok != tt.ok {
			t.Errorf("%s, binary %v: got %q, %v", tt.binding, tt.binary, got, ok)
		}
	}
	if len(resp.Logs) != 2 || resp.Logs[1] != "1" {
		t.Errorf("logs %q", resp.Logs)
	}
}

func TestCall(t *testing.T) {
	const ok = "application/json; charset=utf-8"
	tests := []struct {
		name        string
		status      int
		contentType string
		body        string
		want        string // of the error
		malformed   bool
		response    bool
	}{
		{"success", 200, ok, `{"ReturnValue":1}`, "", false, true},
		{"any 2xx will do", 202, ok, `{}`, "", false, true},
		{"another status is a failure, not an error", 500, "text/plain", "no", "", false, false},
		{"a redirection, too", 302, ok, `{}`, "", false, false},
		{"not JSON", 200, ok, `{`, "unexpected end", true, false},
		{"not an object", 200, ok, `null`, "null where an object is needed", true, false},
		{"logs that are no text", 200, ok, `{"Logs":[{}]}`, "Logs[0] is not text but an object", true, false},
		{"nothing", 200, ok, ``, "it is empty", true, false},
		{"not said to be JSON", 200, "text/plain", `{}`, `Content-Type is "text/plain"`, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.URL.Path != "/fn" || r.Method != "POST" || r.Header.Get("X-Azure-Functions-InvocationId") != "id" ||
					r.Header.Get("X-More") != "1" || string(body) != `{"Data":{"m":"\"x\""},"Metadata":{`+sysJSON+`}}` {
					t.Errorf("got %s %s %v %s", r.Method, r.URL, r.Header, body)
				}
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			defer srv.Close()
			c := Client{URL: srv.URL + "/", HTTP: srv.Client()}
			resp, status, err := c.Call(t.Context(), "fn", "id", http.Header{"X-More": {"1"}}, TextRequest("m", "x", sys))
			if status != tt.status || (resp != nil) != tt.response {
				t.Errorf("got %v, status %d", resp, status)
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if errors.Is(err, ErrMalformed) != tt.malformed {
				t.Errorf("malformed is %v: %v", !tt.malformed, err)
			}
		})
	}
}

func TestCallOfNobodyIsAnError(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	c := Client{URL: srv.URL}
	if _, status, err := c.Call(t.Context(), "fn", "id", nil, TextRequest("m", "x", sys)); err == nil || status != 0 ||
		errors.Is(err, ErrMalformed) {
		t.Errorf("got status %d, %v", status, err)
	}
}

func TestNewSys(t *testing.T) {
	got := NewSys("f", noon)
	if got.MethodName != "f" || got.UTCNow != sys.UTCNow || len(got.RandGUID) != 36 || got.RandGUID[14] != '4' {
		t.Errorf("got %+v", got)
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add([]byte(`{"Outputs":{"res":{"statusCode":"201","body":{"a":1},"headers":{"A":1}}},"Logs":["x"]}`))
	f.Add([]byte(`{"ReturnValue":"test"}`))
	f.Add([]byte(`{"outputs":{"res":null},"Logs":null}`))
	f.Add([]byte(`{"ReturnValue":{"body":[1.0],"status":404}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		resp, err := ParseResponse(body)
		if err != nil {
			return
		}
		for _, binding := range []string{"res", Return} {
			if a, err := resp.HTTP(binding); err == nil && (a.Status < 200 || a.Status > 999) {
				t.Errorf("%s: status %d", binding, a.Status)
			}
			resp.Output(binding, false)
		}
		again, err := json.Marshal(resp)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseResponse(again); err != nil {
			t.Errorf("%s cannot be read: %v", again, err)
		}
	})
}
