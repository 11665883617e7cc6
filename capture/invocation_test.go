package capture

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestALineKeepsTheEventByteForByte(t *testing.T) {
	for _, tt := range []struct{ name, event string }{
		{"compact", `{"a":1}`},
		{"with spaces", `{ "a" : 1.50 }`},
		{"over several lines", "{\n  \"a\": [1,\r\n 2]\n}\n"},
		{"between white space", " \"\"\t"},
		{"with characters that encoding/json escapes", `{"a":"<&> "}`},
		{"with duplicate names", `{"a":1,"a":2}`},
		{"with a number that a float cannot hold", `9007199254740993.10`},
		{"with invalid UTF-8", "{\"a\":\"\xff\"}"},
		{"null", `null`},
	} {
		inv := &Invocation{
			ID: "1", Function: "f", Trigger: TriggerOther, Format: FormatOther, Source: "test", Time: time.Unix(1, 0).UTC(),
			Event: json.RawMessage(tt.event), Context: Context{RequestID: "r", ClientContext: json.RawMessage(`{"a":1}`)},
			Outcome: &Outcome{Status: StatusOK, Effects: []Effect{}}, Objects: []Object{{Bucket: "b", Key: "k", SHA256: "00"}},
		}
		line, err := inv.AppendJSON([]byte("x"))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if line[0] != 'x' || bytes.ContainsAny(line, "\n\r") {
			t.Errorf("%s: line is %q", tt.name, line)
		}
		got, err := ParseInvocation(line[1:])
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(inv, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

func TestBadLinesSayWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`{"function":"f","event":{}}`, `no "id"`},
		{`{"id":"1","event":{}}`, `no "function"`},
		{`{"id":"1","function":"f"}`, `no "event"`},
		{`{"id":"1","function":"f","event":`, "unexpected end"},
		{`{"id":"1","function":"f","eventBase64":"ew=="}`, "does not hold JSON"},
		{`[]`, "cannot unmarshal"},
	} {
		if _, err := ParseInvocation([]byte(tt.line)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseInvocation(%s) = %v, want %q", tt.line, err, tt.want)
		}
	}
	if _, err := (&Invocation{ID: "1", Event: json.RawMessage(`{`)}).AppendJSON(nil); err == nil {
		t.Error("an event that is not JSON was written")
	}
}

func TestALineWithoutTriggerIsTold(t *testing.T) {
	got, err := ParseInvocation([]byte(`{"id":"1","function":"f","event":{"Records":[{"eventSource":"aws:sqs"}]}}`))
	if err != nil || got.Trigger != TriggerSQS || got.Format != FormatSQS {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestMarksTravel(t *testing.T) {
	m := Mark{Run: "01K", Invocation: "events/a b.json", Target: "lambda", Repeat: 2}
	got, err := ParseMark(m.String())
	if err != nil || got != m || strings.ContainsAny(m.String(), " \n") {
		t.Errorf("ParseMark(%q) = %+v, %v", m, got, err)
	}
	for _, bad := range []string{"", "a/b/c", "a/b/c/x", "a/b/c/-1", "a/b/c/1/2", "%zz/b/c/1"} {
		if _, err := ParseMark(bad); err == nil {
			t.Errorf("ParseMark(%q) succeeded", bad)
		}
	}
	if _, ok := MarkFromClientContext([]byte(`{"custom":{"tandem-trial":"no mark"}}`)); ok {
		t.Error("a mark was found in a client context without one")
	}
	if _, ok := MarkFromClientContext([]byte(`null`)); ok {
		t.Error("a mark was found in null")
	}
	for _, tt := range []struct {
		event string
		ok    bool
	}{
		{`{"headers":{"a":"b","Tandem-Trial":"` + m.String() + `"}}`, true},
		{`{"headers":null,"multiValueHeaders":{"tandem-trial":["x","` + m.String() + `"]}}`, true},
		{`{"headers":{"tandem-trial":"` + m.String() + `x"}}`, false},
		{`{"headers":{"x":"tandem-trial"},"body":"tandem-trial: ` + m.String() + `"}`, false},
		{`{"headers":[1],"x":"tandem-trial"}`, false},
	} {
		if got, ok := MarkFromEvent([]byte(tt.event)); ok != tt.ok || ok && got != m {
			t.Errorf("MarkFromEvent(%s) = %+v, %t", tt.event, got, ok)
		}
	}
}

func TestBodiesAreTold(t *testing.T) {
	for _, tt := range []struct{ name, contentType, content, kind string }{
		{"JSON by its media type", "application/json; charset=utf-8", `"x"`, "json"},
		{"JSON by a structured suffix", "application/problem+json", `{}`, "json"},
		{"JSON that is broken is text", "application/json", `{`, "text"},
		{"text that looks like JSON", "text/plain", `{}`, "text"},
		{"an object without a media type", "", ` {"a":1}`, "json"},
		{"a number without a media type stays text", "", `1.0`, "text"},
		{"an object that an SDK sent as bytes", "application/octet-stream", `{}`, "json"},
		{"bytes", "text/plain", "\xff", "base64"},
		{"nothing", "application/json", "", ""},
	} {
		b := NewBody(tt.contentType, []byte(tt.content))
		kind := ""
		switch {
		case b == nil:
		case b.JSON != nil:
			kind = "json"
		case b.Text != nil:
			kind = "text"
		case b.Base64 != nil:
			kind = "base64"
		}
		if kind != tt.kind {
			t.Errorf("%s: %q is %q, want %q", tt.name, tt.content, kind, tt.kind)
		}
	}
}

func TestCookiesKeepTheirAttributes(t *testing.T) {
	got := ParseCookie(`sid=a=b; Path=/; HttpOnly; SameSite=Lax;; Partitioned`)
	want := Cookie{Name: "sid", Value: "a=b", Attributes: map[string]string{"path": "/", "httponly": "", "samesite": "Lax", "partitioned": ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := got.String(); s != "sid=a=b; Httponly; Partitioned; Path=/; Samesite=Lax" {
		t.Errorf("String() = %q", s)
	}
}

func FuzzParseInvocation(f *testing.F) {
	f.Add([]byte(`{"id":"1","function":"f","event":{"a":1}}`))
	f.Add([]byte(`{"id":"1","function":"f","eventBase64":"IHt9","outcome":{"status":"ok","effects":[]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		inv, err := ParseInvocation(line)
		if err != nil {
			return
		}
		again, err := inv.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseInvocation(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if !bytes.Equal(inv.Event, back.Event) || inv.ID != back.ID {
			t.Fatalf("%q came back as %q", inv.Event, back.Event)
		}
	})
}
