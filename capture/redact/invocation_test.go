package redact

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"tandem/capture"
)

const planted = "correct-horse-battery-staple-9"

// full has a secret wherever an invocation can have one.
func full() *capture.Invocation {
	text := "password=" + planted
	return &capture.Invocation{
		ID: "i-1", Function: "f", Trigger: capture.TriggerOther, Format: capture.FormatOther,
		Source: "import:https://h/?code=" + planted,
		Event:  json.RawMessage(`{"password":"` + planted + `"}`),
		Context: capture.Context{
			RequestID: text, TraceID: text, ClientContext: json.RawMessage(`{"env":{"token":"` + planted + `"}}`),
			CognitoIdentity: json.RawMessage(`{"token":"` + planted + `"}`),
		},
		Outcome: &capture.Outcome{
			Status: capture.StatusOK,
			HTTP: &capture.HTTPAnswer{
				Status:  200,
				Headers: map[string][]string{"x-api-key": {"a", planted}, "location": {"https://h/?token=" + planted}, "content-length": {"3"}},
				Cookies: []capture.Cookie{{Name: "a", Value: ""}, {Name: "sid", Value: planted, Attributes: map[string]string{"path": "/"}}},
				Body:    &capture.Body{JSON: json.RawMessage(`{"access_token":"` + planted + `","pwd":"x"}`)},
			},
			Result: &capture.Body{Text: &text},
			Error:  &capture.Error{Type: "T", Message: "cannot log in: " + text},
			Effects: []capture.Effect{
				{Kind: capture.ObjectPut, Resource: "r", Key: "k", Body: &capture.Body{JSON: json.RawMessage(`1`)}},
				{Kind: capture.MessageSend, Resource: "https://h/?sig=" + planted, Key: text, Body: &capture.Body{Base64: []byte("\xff" + text)},
					Attributes: map[string]string{"metadata.Auth-Token": planted, "note": text, "plain": "p"}},
			},
		},
		Objects: []capture.Object{{Bucket: "b", Key: "k"}, {Bucket: "b", Key: "in/" + text}},
	}
}

func TestNothingOfAnInvocationKeepsASecret(t *testing.T) {
	r := newRedactor(t)
	inv, original := full(), full()
	got, replaced := r.Redact(inv)
	if !reflect.DeepEqual(inv, original) {
		t.Error("the invocation itself was changed")
	}
	line, err := got.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if contains(line, planted) {
		t.Errorf("it is still there: %s", line)
	}
	var n int64
	for _, k := range replaced {
		n += k
	}
	const places = 19
	if n != places+1 { // and "a", the other value of a header
		t.Errorf("%d were replaced: %v", n, replaced)
	}
	if again, replaced := r.Redact(got); again != got || len(replaced) > 0 {
		t.Errorf("once more, %v was replaced", replaced)
	}
	if got.Outcome.HTTP.Headers["content-length"][0] == "3" || got.Outcome.HTTP.Cookies[1].Attributes["path"] != "/" {
		t.Errorf("answer %+v", got.Outcome.HTTP)
	}
	if e := got.Outcome.Effects[0]; string(e.Body.JSON) != "1" || got.Outcome.Effects[1].Attributes["plain"] != "p" {
		t.Errorf("effects %+v", got.Outcome.Effects)
	}
}

func TestFindSaysWhereAndNeverWhat(t *testing.T) {
	r := newRedactor(t)
	inv := full()
	inv.Event = json.RawMessage(`{"body":"{\"a/b\":[{\"password\":\"` + planted + `\"}]}","` + aJWT + `":{"token":"x"}}`)
	finds := r.Find(inv)
	for _, f := range finds {
		if strings.Contains(f.At+f.Kind, planted) || strings.Contains(f.At, aJWT) {
			t.Errorf("%+v tells it", f)
		}
	}
	for _, want := range []Find{
		{"/event/body/a~1b/0/password", "name:password"}, {"/outcome/http/headers/x-api-key/1", "x-api-key header"},
		{"/outcome/http/cookies/1/value", "set-cookie header"}, {"/outcome/error/message", "name:password"},
		{"/objects/1/key", "name:password"}, {"/event", "form:jwt"},
	} {
		if !slices.Contains(finds, want) {
			t.Errorf("no %+v in %+v", want, finds)
		}
	}
	if redacted, _ := r.Redact(inv); len(r.Find(redacted)) > 0 {
		t.Errorf("in what was redacted it finds %+v", r.Find(redacted))
	}
}

// The recording's files, all of them, are searched.
func TestARecordingNeverHoldsASecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "orders.rec")
	record := func(r capture.Redactor, appendTo bool) error {
		w, err := capture.Create(dir, capture.CreateOptions{Redactor: r, Append: appendTo})
		if err != nil {
			return err
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				inv := full()
				if inv.ID = ""; w.Write(inv) != nil || inv.ID == "" {
					t.Error("it was not written")
				}
				broken := full()
				broken.Event = json.RawMessage(`{"password":"` + planted)
				if err := w.Write(broken); err == nil || strings.Contains(err.Error(), planted) {
					t.Errorf("an event that is not JSON: %v", err)
				}
			})
		}
		all.Wait()
		return w.Close()
	}
	r := newRedactor(t)
	if err := record(r, false); err != nil {
		t.Fatal(err)
	}
	other, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := record(other, true); err != nil {
		t.Fatal(err)
	}
	if err := record(nil, true); err == nil || !strings.Contains(err.Error(), "with redaction") {
		t.Errorf("going on without redaction: %v", err)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if contains(text, planted) {
			t.Errorf("%s has it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(dir, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	for line, err := range rec.Lines() {
		if err != nil || contains(line.Data, planted) {
			t.Errorf("%v: %s", err, line.Data)
		}
	}
	m := rec.Manifest()
	if m.Redaction == nil || len(m.Redaction.KeyIDs) != 2 || m.Redaction.Replaced["set-cookie header"] != 8 || m.Redaction.Key != capture.KeySeveral {
		t.Errorf("redaction %+v", m.Redaction)
	}
	if kinds := slices.Collect(maps.Keys(m.Redaction.Replaced)); strings.Contains(strings.Join(kinds, " "), planted) {
		t.Errorf("kinds %v", kinds)
	}
}

func FuzzRedact(f *testing.F) {
	for _, doc := range fixtures(f) {
		f.Add(doc)
	}
	f.Add([]byte(`{"a":"password=x\u00fc&token=\ud800 Bearer \"","token":[1.5,-2,"4111 1111 1111 1111"],"body":"e30="}`))
	f.Add([]byte(`{"b":"https://a:b@c?sig=%41%&x","c":"<token>a</token> name=\"token\"\r\n\r\nx DE89370400440532013000 ::1 +49 171 1234567"}`))
	f.Add([]byte(`{"headers":{"content-length":"9","Cookie":"a=b; c"},"body":"{\"pwd\":\"x\"}","md5OfBody":"","name":"token","value":"a"}`))
	r, err := New(Options{Key: testKey, Rules: append(everyForm(), Rule{At: "/event/*/x"}, Rule{Name: "keep", Keep: true})})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		inv := &capture.Invocation{Event: doc, Source: string(doc)}
		before := string(doc)
		got, _ := r.Redact(inv)
		if string(doc) != before {
			t.Fatal("the event itself was changed")
		}
		if json.Valid(doc) && !json.Valid(got.Event) {
			t.Fatalf("%s became\n%s", doc, got.Event)
		}
		p := pass{redactor: r}
		if !p.json(doc, place{}) {
			p.scan(doc)
		}
		at := 0
		for _, e := range p.edits {
			if e.start < at || e.end < e.start || e.end > len(doc) {
				t.Fatalf("edits of %q: %+v", doc, p.edits)
			}
			at = e.end
		}
	})
}
