package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"tandem/capture"
	"tandem/capture/jsonval"
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

func TestARecordingThatWasNotClosedSaysThatItIsRedacted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a.rec")
	w, err := capture.Create(dir, capture.CreateOptions{Redactor: newRedactor(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(full()), w.Flush()); err != nil {
		t.Fatal(err)
	}
	rec, err := capture.Open(dir, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m := rec.Manifest(); m.Complete || m.Redaction == nil || m.Redaction.Key != capture.KeyGiven {
		t.Errorf("manifest %+v", m)
	}
	if err := errors.Join(rec.Close(), w.Close()); err != nil {
		t.Error(err)
	}
}

// otherKinds tells where two documents differ by more than the contents of strings and numbers.
func otherKinds(a, b []byte) string {
	as, bs := json.NewDecoder(bytes.NewReader(a)), json.NewDecoder(bytes.NewReader(b))
	as.UseNumber()
	bs.UseNumber()
	for {
		at, aerr := as.Token()
		bt, berr := bs.Token()
		if aerr != nil || berr != nil {
			if aerr == io.EOF && berr == io.EOF {
				return ""
			}
			return fmt.Sprintf("%v and %v", aerr, berr)
		}
		_, isString := at.(string)
		_, isNumber := at.(json.Number)
		if reflect.TypeOf(at) != reflect.TypeOf(bt) || !isString && !isNumber && at != bt {
			return fmt.Sprintf("%v and %v", at, bt)
		}
	}
}

// Wherever a value is, and however it is encoded, it has one token.
func FuzzEqualValuesHaveEqualTokens(f *testing.F) {
	for _, value := range []string{"hunter2", "a,b", "Bearer abc", "4111111111111111", "a b&c=d", `"\`, "é\u2028", `{"a":"b"}`, "123"} {
		f.Add(value)
	}
	r := newRedactor(f, everyForm()...)
	f.Fuzz(func(t *testing.T, value string) {
		if value == "" || !utf8.ValidString(value) {
			return
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		inner := `{"password":` + string(quoted) + `}`
		body, err := json.Marshal(inner)
		if err != nil {
			t.Fatal(err)
		}
		in := fmt.Sprintf(`{"token":%s,"body":%s,"data":"%s","rawQueryString":"token=%s","queryStringParameters":{"code":%[1]s}}`,
			quoted, body, base64.StdEncoding.EncodeToString([]byte(inner)), url.QueryEscape(value))
		var doc struct {
			Token, Body, RawQueryString string
			Data                        []byte
			QueryStringParameters       struct{ Code string }
		}
		if err := json.Unmarshal([]byte(event(t, r, in)), &doc); err != nil {
			t.Fatal(err)
		}
		var fromBody, fromData struct{ Password string }
		if err := errors.Join(json.Unmarshal([]byte(doc.Body), &fromBody), json.Unmarshal(doc.Data, &fromData)); err != nil {
			t.Fatal(err)
		}
		query, err := url.ParseQuery(doc.RawQueryString)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{fromBody.Password, fromData.Password, query.Get("token"), doc.QueryStringParameters.Code} {
			if got != doc.Token {
				t.Errorf("%q has the tokens %q and %q", value, doc.Token, got)
			}
		}
	})
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
		if json.Valid(doc) {
			if diff := otherKinds(doc, got.Event); diff != "" {
				t.Fatalf("%s became\n%s: %s", doc, got.Event, diff)
			}
			if again, replaced := r.Redact(got); string(again.Event) != string(got.Event) {
				t.Fatalf("%q became\n%q, and that\n%q: %v", doc, got.Event, again.Event, replaced)
			}
		}
		p := pass{redactor: r}
		if !p.json(doc, place{}) {
			p.scan(doc)
		}
		at := 0
		for _, e := range p.edits {
			if e.Start < at || e.End < e.Start || e.End > len(doc) {
				t.Fatalf("edits of %q: %+v", doc, p.edits)
			}
			at = e.End
		}
	})
}

// Fragments of what redaction looks for, put together at random, find combinations that nobody thought of.
func TestAnyMixtureIsRedactedOnceAndStaysJSON(t *testing.T) {
	fragments := []string{
		"password", "token", "Cookie", "Set-Cookie", "authorization", "code", "name", "value", "body", "=", ": ", "&", "?", ";", ",",
		" ", "\n", `"`, `\`, "<token>", "</token>", "<password a='", ">", "<![CDATA[", "]]>", "Bearer ", "Basic ", "YTpi", aJWT, aKeyID,
		anAWSKey, "https://", "bob", "@mail.org", "hunter2", "%26", "%22", "+", "4111111111111111", "9998", "::1", "10.0.0.1",
		"+49 171 1234567", "DE89370400440532013000", "-----BEGIN PRIVATE KEY-----", "-----END", "redacted-0123456789abcdef", "{", "}",
		"[", "]", `{"token":"x"}`, `{"name":"password","value":"x"}`, "sig=", "SharedAccessSignature", "\xff", "é", "\u2028",
	}
	rules := append(everyForm(), Rule{At: "/event/**/x"}, Rule{Name: "code", Keep: true})
	redactors := []*Redactor{newRedactor(t), newRedactor(t, rules...)}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		var text string
		for range 1 + random.IntN(12) {
			text += fragments[random.IntN(len(fragments))]
		}
		for range random.IntN(3) {
			switch random.IntN(4) {
			case 0:
				text = base64.StdEncoding.EncodeToString([]byte(text))
			case 1:
				text = "a=b&c=" + url.QueryEscape(text)
			default:
				text = `{"x":` + quote(text) + `,"headers":{"cookie":` + quote(text) + `}}`
			}
		}
		inv := &capture.Invocation{Event: []byte(`{"body":` + quote(text) + `,"headers":{"authorization":` + quote(text) + `}}`)}
		for _, r := range redactors {
			got, _ := r.Redact(inv)
			if diff := otherKinds(inv.Event, got.Event); diff != "" {
				t.Fatalf("%s became\n%s: %s", inv.Event, got.Event, diff)
			}
			if again, replaced := r.Redact(got); string(again.Event) != string(got.Event) {
				t.Fatalf("%s became\n%s, and that\n%s: %v", inv.Event, got.Event, again.Event, replaced)
			}
		}
	}
}

// quote makes a JSON string, in which bytes that are not UTF-8 stay.
func quote(text string) string { return `"` + string(jsonval.Escape([]byte(text))) + `"` }
