package rewrite

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"tandem/capture/jsonval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const run = "01M83D5FHHCR0WM9423PBH8K3Y"

func text(s string) *string { return &s }

func rewriter(t testing.TB, rules ...Change) *Rewriter {
	t.Helper()
	r, err := New(rules, Options{Run: run, Shift: 36 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRulesChangeWhatTheyNameAndNothingElse(t *testing.T) {
	for _, tt := range []struct {
		name        string
		rule        Change
		event, want string
		values      int64
	}{
		{"a text", Change{At: "/a/b", Set: text("x")}, `{ "a" : {"b":"y", "c":"y"} }`, `{ "a" : {"b":"x", "c":"y"} }`, 1},
		{"a text that needs escapes", Change{At: "/a", Set: text("\"\n")}, `{"a":"y"}`, `{"a":"\"\n"}`, 1},
		{"a text that it is", Change{At: "/a", Set: text("é/")}, `{"a":"\u00e9\/"}`, `{"a":"\u00e9\/"}`, 1},
		{"a number", Change{At: "/a", Set: text("7")}, `{"a":1e3,"b":1}`, `{"a":7,"b":1}`, 1},
		{"a number by a text", Change{At: "/a", Set: text("x")}, `{"a":1}`, `{"a":1}`, 0},
		{"null by false", Change{At: "/a", Set: text("false")}, `{"a":null}`, `{"a":false}`, 1},
		{"an object", Change{At: "/a", Set: text("x")}, `{"a":{"b":1}}`, `{"a":{"b":1}}`, 0},
		{"the document", Change{At: "/**", Set: text("x")}, `"a"`, `"x"`, 1},
		{"nothing there", Change{At: "/a/c", Set: text("x")}, `{"a":{"b":"y"}}`, `{"a":{"b":"y"}}`, 0},
		{"all of a list", Change{At: "/*/b", From: "a", To: text("b")}, `[{"b":"a-a"},{"b":"c"},{"b":"a"}]`,
			`[{"b":"b-b"},{"b":"c"},{"b":"b"}]`, 2},
		{"one of a list", Change{At: "/1", Set: text("x")}, `["a","b"]`, `["a","x"]`, 1},
		{"at any depth", Change{At: "/**/id", Set: text("x")}, `{"id":"a","b":[{"id":"c"}]}`, `{"id":"x","b":[{"id":"x"}]}`, 2},
		{"a prefix", Change{At: "/x-*", Set: text("x")}, `{"x-a":"1","y":"1"}`, `{"x-a":"x","y":"1"}`, 1},
		{"an escaped name", Change{At: "/a~1b", Set: text("x")}, `{"a\/b":"y"}`, `{"a\/b":"x"}`, 1},
		{"a name that is there twice", Change{At: "/a", Set: text("x")}, `{"a":"y","a":"z"}`, `{"a":"x","a":"x"}`, 2},
		{"JSON in a text", Change{At: "/body/id", Set: text(`q"`)}, `{"body":"{ \"id\": \"a\", \"n\":\"\\u00e9\\/\" }"}`,
			`{"body":"{ \"id\": \"q\\\"\", \"n\":\"\\u00e9\\/\" }"}`, 1},
		{"JSON in JSON in a text", Change{At: "/Records/*/body/Message/id", Set: text("x")},
			`{"Records":[{"body":"{\"Message\":\"{\\\"id\\\":\\\"a\\\"}\"}"}]}`,
			`{"Records":[{"body":"{\"Message\":\"{\\\"id\\\":\\\"x\\\"}\"}"}]}`, 1},
		{"a text that looks like JSON", Change{At: "/body/id", Set: text("x")}, `{"body":"{\"id\":"}`, `{"body":"{\"id\":"}`, 0},
		{"part of an escaped text", Change{At: "/a", From: "old", To: text("né\t")}, `{"a":"\u00e9old\/"}`, `{"a":"\u00e9né\t\/"}`, 1},
		{"a bucket's ARN", Change{At: "/arn", From: ":orders", To: text(":stg")}, `{"arn":"arn:aws:s3:::orders"}`,
			`{"arn":"arn:aws:s3:::stg"}`, 1},
		{"a header", Change{Header: "authorization", Set: text("Bearer t")},
			`{"headers":{"Authorization":"x","b":"x"},"multiValueHeaders":{"AUTHORIZATION":["x","y"]},"body":"x"}`,
			`{"headers":{"Authorization":"Bearer t","b":"x"},"multiValueHeaders":{"AUTHORIZATION":["Bearer t","Bearer t"]},"body":"x"}`, 3},
		{"a UUID in capitals", Change{At: "/a", Namespace: true}, `{"a":"6F9619FF-8B86-D011-B42D-00C04FC964FF"}`,
			`{"a":"8F679BAC-2C8E-4104-B5C4-3C9B094343B7"}`, 1},
		{"another ID", Change{At: "/a", Namespace: true}, `{"a":"ord_7","b":7,"c":""}`, `{"a":"ord_7-3pbh8k3y","b":7,"c":""}`, 1},
		{"a number as an ID", Change{At: "/a", Namespace: true}, `{"a":7}`, `{"a":7}`, 0},
		{"times", Change{At: "/*", ShiftTime: true},
			`{"a":"2026-01-30T20:00:00.120Z","b":1769803200,"c":"1769803200123","d":"2026-01-30T20:00:00+01:00","e":1769803200.5,"f":"30/Jan/2026:20:00:00 +0000","g":"Fri, 30 Jan 2026 20:00:00 GMT"}`,
			`{"a":"2026-02-01T08:00:00.120Z","b":1769932800,"c":"1769932800123","d":"2026-02-01T08:00:00+01:00","e":1769932800.5,"f":"01/Feb/2026:08:00:00 +0000","g":"Sun, 01 Feb 2026 08:00:00 GMT"}`, 7},
		{"what is no time", Change{At: "/*", ShiftTime: true}, `{"a":"2026-13-30T20:00:00Z","b":17,"c":"soon","d":null,"e":-1769803200}`,
			`{"a":"2026-13-30T20:00:00Z","b":17,"c":"soon","d":null,"e":-1769803200}`, 0},
		{"a body in base64", Change{At: "/body/id", Set: text("x")}, `{"body":"eyAiaWQiOjEsImEiOiJcL8OpIn0=","isBase64Encoded":true}`,
			`{"body":"eyAiaWQiOjEsImEiOiJcL8OpIn0=","isBase64Encoded":true}`, 0},
		{"a text of a body in base64", Change{At: "/body/id", Set: text("xyz")}, `{"isBase64Encoded": true, "body":"eyAiaWQiOiJhIiwiYSI6IlwvIn0="}`,
			`{"isBase64Encoded": true, "body":"eyAiaWQiOiJ4eXoiLCJhIjoiXC8ifQ=="}`, 1},
		{"the whole of a body in base64", Change{At: "/body", From: "\u00ff", To: text("y")}, `{"isBase64Encoded":true,"body":"/8O/AA=="}`,
			`{"isBase64Encoded":true,"body":"/3kA"}`, 1},
		{"base64 that stays", Change{At: "/body/id", Set: text("a")}, `{"isBase64Encoded":true,"body":"eyJpZCI6\u0049mEifQ=="}`,
			`{"isBase64Encoded":true,"body":"eyJpZCI6\u0049mEifQ=="}`, 1},
		{"base64 of nobody's", Change{At: "/body", Set: text("x")}, `{"isBase64Encoded":false,"body":"eyJpZCI6ImEifQ=="}`,
			`{"isBase64Encoded":false,"body":"x"}`, 1},
		{"what is not base64", Change{At: "/body", From: "!", To: text("?")}, `{"isBase64Encoded":true,"body":"a!"}`,
			`{"isBase64Encoded":true,"body":"a?"}`, 1},
		{"base64 that would not come back", Change{At: "/body/id", Set: text("x")}, `{"isBase64Encoded":true,"body":"eyJpZCI6ImEifQ=\n="}`,
			`{"isBase64Encoded":true,"body":"eyJpZCI6ImEifQ=\n="}`, 0},
		{"Kinesis", Change{At: "/Records/*/kinesis/data/id", Namespace: true}, `{"Records":[{"kinesis":{"data":"eyJpZCI6ImEifQ==","partitionKey":"a"}}]}`,
			`{"Records":[{"kinesis":{"data":"eyJpZCI6ImEtM3BiaDhrM3kifQ==","partitionKey":"a"}}]}`, 1},
		{"Kafka, without padding", Change{At: "/records/orders-0/*/value/id", Set: text("b")},
			`{"records":{"orders-0":[{"key":"a2V5","value":"eyJpZCI6ImEifQ"}]}}`, `{"records":{"orders-0":[{"key":"a2V5","value":"eyJpZCI6ImIifQ"}]}}`, 1},
		{"a host, and not what looks like it", Change{Hosts: &Rename{"api.example.com", "stg.example.com"}},
			`{"headers":{"Host":"API.example.com","x-forwarded-host":"api.example.com:443","origin":"https://api.example.com","referer":"https://api.example.com/a?b=api.example.com"},` +
				`"multiValueHeaders":{"host":["api.example.com"],"Referer":["https://api.example.com.evil/","https://xapi.example.com","https://x@api.example.com"]},` +
				`"requestContext":{"domainName":"api.example.com"},"body":"api.example.com"}`,
			`{"headers":{"Host":"stg.example.com","x-forwarded-host":"stg.example.com:443","origin":"https://stg.example.com","referer":"https://stg.example.com/a?b=api.example.com"},` +
				`"multiValueHeaders":{"host":["stg.example.com"],"Referer":["https://api.example.com.evil/","https://xapi.example.com","https://x@api.example.com"]},` +
				`"requestContext":{"domainName":"stg.example.com"},"body":"api.example.com"}`, 6},
		{"a bucket, and not what looks like it", Change{Bucket: &Rename{"orders", "stg"}},
			`{"Records":[{"s3":{"bucket":{"name":"orders","arn":"arn:aws:s3:::orders"},"object":{"key":"orders"}}},{"s3":{"bucket":{"name":"orders-2","arn":"arn:aws:s3:::orders-2"}}}]}`,
			`{"Records":[{"s3":{"bucket":{"name":"stg","arn":"arn:aws:s3:::stg"},"object":{"key":"orders"}}},{"s3":{"bucket":{"name":"orders-2","arn":"arn:aws:s3:::orders-2"}}}]}`, 2},
		{"a bucket through EventBridge, SNS and SQS", Change{Bucket: &Rename{"orders", "stg"}},
			`{"resources":["arn:aws:s3:::orders","arn:aws:s3:::x"],"detail":{"bucket":{"name":"orders"}},"Records":[{"body":"{\"Message\":\"{\\\"Records\\\":[{\\\"s3\\\":{\\\"bucket\\\":{\\\"name\\\":\\\"orders\\\"}}}]}\"}"}]}`,
			`{"resources":["arn:aws:s3:::stg","arn:aws:s3:::x"],"detail":{"bucket":{"name":"stg"}},"Records":[{"body":"{\"Message\":\"{\\\"Records\\\":[{\\\"s3\\\":{\\\"bucket\\\":{\\\"name\\\":\\\"stg\\\"}}}]}\"}"}]}`, 3},
		{"a queue, and not what looks like it", Change{Queue: &Rename{"orders.fifo", "stg.fifo"}},
			`{"Records":[{"eventSourceARN":"arn:aws:sqs:eu-west-1:1:orders.fifo"},{"eventSourceARN":"arn:aws:sqs:eu-west-1:1:my-orders.fifo"},{"eventSourceARN":"arn:aws:s3:::orders.fifo"},{"eventSourceARN":"arn:aws:sqs:eu-west-1:1:ordersxfifo"}]}`,
			`{"Records":[{"eventSourceARN":"arn:aws:sqs:eu-west-1:1:stg.fifo"},{"eventSourceARN":"arn:aws:sqs:eu-west-1:1:my-orders.fifo"},{"eventSourceARN":"arn:aws:s3:::orders.fifo"},{"eventSourceARN":"arn:aws:sqs:eu-west-1:1:ordersxfifo"}]}`, 1},
	} {
		got, counts, err := rewriter(t, tt.rule).Event([]byte(tt.event))
		if err != nil || string(got) != tt.want || counts[0].Values != tt.values {
			t.Errorf("%s: %d values of\n %s, %v; want %d of\n %s", tt.name, counts[0], got, err, tt.values, tt.want)
		}
	}
}

func TestTheFirstRuleThatCanChangesAValue(t *testing.T) {
	r := rewriter(t, Change{At: "/a", From: "x", To: text("1")}, Change{At: "/**", From: "x", To: text("2")},
		Change{At: "/a", Set: text("3")})
	for event, want := range map[string]string{`{"a":"x","b":"x"}`: `{"a":"1","b":"2"}`, `{"a":"y","b":"y"}`: `{"a":"3","b":"y"}`} {
		if got, _, _ := r.Event([]byte(event)); string(got) != want {
			t.Errorf("%s became %s, want %s", event, got, want)
		}
	}
}

func TestEqualIDsStayEqualInARunAndOthersDiffer(t *testing.T) {
	const event = `["a","b","a","6f9619ff-8b86-d011-b42d-00c04fc964ff","6f9619ff-8b86-d011-b42d-00c04fc964fe","6f9619ff-8b86-d011-b42d-00c04fc964ff"]`
	ids := func(run string) (ids []string) {
		r, err := New([]Change{{At: "/*", Namespace: true}}, Options{Run: run})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := r.Event([]byte(event))
		if err == nil {
			err = json.Unmarshal(out, &ids)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	one, again, other := ids(run), ids(run), ids("01M83D5FHHCR0WM9423PBH8K3Z")
	for i := range one {
		if one[i] != again[i] || one[i] == other[i] {
			t.Errorf("%s became %s and %s in one run, and %s in another", event, one[i], again[i], other[i])
		}
	}
	if one[0] != one[2] || one[3] != one[5] || one[0] == one[1] || one[3] == one[4] || !uuid.MatchString(one[3]) {
		t.Errorf("%s became %v", event, one)
	}
}

func TestRulesThatAreNone(t *testing.T) {
	k := key("hunter2")
	p384, _ := ecKey(t, elliptic.P384())
	sign := func(s Signing) Change { return Change{Signing: s} }
	for _, tt := range []struct {
		want string
		rule Change
	}{
		{"at: a rule has either", Change{Set: text("x")}},
		{"at: a rule has either at,", Change{At: "/a", Header: "b", Set: text("x")}},
		{"at: a rule has one of set", Change{At: "/a"}},
		{"at: a rule has one of", Change{At: "/a", Set: text("x"), Namespace: true}},
		{"from: from and to", Change{At: "/a", From: "x"}},
		{"from: from and to go", Change{At: "/a", To: text("x")}},
		{"it starts with a slash", Change{At: "a", Set: text("x")}},
		{"write ~0 for ~", Change{At: "/~2", Set: text("x")}},
		{"* only at its end", Change{At: "/a*b", Set: text("x")}},

		{"hosts: from and to", Change{Hosts: &Rename{From: "a"}}},
		{"at: hosts, bucket, queue and sign are", Change{Hosts: &Rename{"a", "b"}, Queue: &Rename{"a", "b"}}},
		{"at: hosts, bucket, queue and sign are", Change{Bucket: &Rename{"a", "b"}, At: "/a"}},
		{"at: hosts, bucket, queue and sign are", Change{Bucket: &Rename{"a", "b"}, Header: "a"}},
		{"at: hosts, bucket, queue and sign are", Change{Set: text("x"), Signing: Signing{Sign: "github", Key: k}}},

		{`sign: "gitlab" is none of hmac, github, shopify`, sign(Signing{Sign: "gitlab", Key: k})},
		{"sign: key, hash", sign(Signing{Key: k})},
		{"sign: github says all but", sign(Signing{Sign: "github", Key: k, Hash: "sha1"})},
		{"sign: github says all but", Change{Header: "x", Signing: Signing{Sign: "github", Key: k}}},
		{"header: hmac needs", sign(Signing{Sign: "hmac", Key: k})},
		{"key: it is missing or empty", sign(Signing{Sign: "github"})},
		{"key-file: it has not been read", sign(Signing{Sign: "github", Key: Key{KeyFile: "k"}})},
		{"key-encoding: the key is not in base64", sign(Signing{Sign: "standard-webhooks", Key: key("hunter2!")})},
		{"key-encoding: the key is not in hex", sign(Signing{Sign: "slack", Key: Key{Key: "hunter2", KeyEncoding: "hex"}})},
		{`key-encoding: "utf-8" is neither`, sign(Signing{Sign: "slack", Key: Key{Key: "hunter2", KeyEncoding: "utf-8"}})},
		{"fresh: a time is either", Change{ShiftTime: true, Signing: Signing{Sign: "slack", Key: k, Fresh: true}}},
		{"time: say which", sign(Signing{Sign: "github", Key: k, Fresh: true})},
		{`time: "x-time" is neither`, Change{Header: "x", Signing: Signing{Sign: "hmac", Key: k, Time: "x-time"}}},
		{`time: "{body}" is neither`, Change{Header: "x", Signing: Signing{Sign: "hmac", Key: k, Time: "{body}"}}},
		{"hash: \"md5\" is none", Change{Header: "x", Signing: Signing{Sign: "hmac", Key: k, Hash: "md5"}}},
		{"encoding: \"base32\" is neither", Change{Header: "x", Signing: Signing{Sign: "hmac", Key: k, Encoding: "base32"}}},
		{"over: it has no {body}", Change{Header: "x", Signing: Signing{Sign: "hmac", Key: k, Over: "{header:x}"}}},
		{"over: there is no {url} here", Change{Header: "x", Signing: Signing{Sign: "hmac", Key: k, Over: "{url}{body}"}}},
		{"value: it has no {signature}", Change{Header: "x", Signing: Signing{Sign: "hmac", Key: k, Value: "sha256="}}},

		{`jwt: alg: "none" is no way`, Change{At: "/a", JWT: &Token{Key: k, Alg: "none"}}},
		{`jwt: alg: "" is no way`, Change{At: "/a", JWT: &Token{Key: k}}},
		{"jwt: key: it is missing", Change{At: "/a", JWT: &Token{Alg: "HS256"}}},
		{"jwt: key: it is not the private key", Change{At: "/a", JWT: &Token{Alg: "RS256", Key: k}}},
		{"jwt: key: it is not the private key", Change{At: "/a", JWT: &Token{Alg: "EdDSA", Key: key(p384)}}},
		{"jwt: key: it cannot sign with ES256", Change{At: "/a", JWT: &Token{Alg: "ES256", Key: key(p384)}}},
		{`jwt: lifetime: "5" is no time`, Change{At: "/a", JWT: &Token{Alg: "HS256", Key: k, Lifetime: "5"}}},
		{"jwt: lifetime: times are either", Change{At: "/a", JWT: &Token{Alg: "HS256", Key: k, Lifetime: "5m", ShiftTime: true}}},
		{"jwt: set: f: it cannot be JSON", Change{At: "/a", JWT: &Token{Alg: "HS256", Key: k, Set: map[string]any{"f": math.NaN()}}}},
	} {
		_, err := New([]Change{tt.rule}, Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%+v: %v, want %q and no key", tt.rule, err, tt.want)
		}
	}
}

func FuzzEvent(f *testing.F) {
	for _, event := range []string{`{"a":"x","body":"{\"a\":\"\\u00e9\\/x\"}"}`, `[1769803200,"\ud800x"]`, ` {"b" : [ null , "xx" ]} `} {
		f.Add([]byte(event), "/**", "x", `"y\`)
	}
	f.Add([]byte(`{"headers":{"A":["x"]}}`), "/headers/a*/*", "x", "")
	f.Add([]byte(`{"headers":{"A":"x","b":"1769803200"},"isBase64Encoded":true,"body":"eyJhIjoieCJ9"}`), "/body/a", "x", "z")
	f.Add([]byte(`{"headers":{"A":"t=1769803200,x","host":"x"},"body":"`+hs256+`"}`), "/body", "x", "z")
	f.Add([]byte(`{"Records":[{"eventSourceARN":"arn:aws:sqs:::x","s3":{"bucket":{"name":"x","arn":"arn:aws:s3:::x"}},"kinesis":{"data":"eA=="}}]}`),
		"/Records/*/kinesis/data", "x", "z")
	f.Fuzz(func(t *testing.T, event []byte, at, from, to string) {
		fromTo, err := New([]Change{{At: at, From: from, To: &to}}, Options{})
		if err != nil || from == "" || !utf8.ValidString(from) || !utf8.ValidString(to) { // as the YAML of a config is
			return
		}
		rewriters := []*Rewriter{fromTo}
		for _, c := range []Change{
			{At: at, Set: &to}, {At: at, Namespace: true}, {At: at, ShiftTime: true},
			{At: at, JWT: &Token{Key: key("k"), Alg: "HS256", Claims: map[string]any{}}},
			{Header: "a", Signing: Signing{Sign: "hmac", Key: key("k"), Over: "{header:b}{body}", Time: "{header:b}", Fresh: true}},
			{Header: "a", ShiftTime: true, Signing: Signing{Sign: "hmac", Key: key("k"), Value: "t={field:t},{signature}", Time: "{field:t}"}},
		} {
			rewriters = append(rewriters, rewriter(t, c))
		}
		if to != "" {
			rewriters = append(rewriters, rewriter(t, Change{Hosts: &Rename{from, to}}), rewriter(t, Change{Bucket: &Rename{from, to}}),
				rewriter(t, Change{Queue: &Rename{from, to}}))
		}
		for _, r := range rewriters {
			got, counts, err := r.Event(event)
			if (err == nil) != json.Valid(event) || !json.Valid(got) && err == nil {
				t.Fatalf("%q became %q, %v", event, got, err)
			}
			if counts[0].Values == 0 && !bytes.Equal(got, event) {
				t.Fatalf("%q became %q although no value was taken", event, got)
			}
		}
		// A value that is put in for itself is the same value.
		same, _, _ := rewriter(t, Change{At: at, From: from, To: &from}).Event(event)
		if !equal(t, same, event) {
			t.Fatalf("%q became %q by putting %q for itself", event, same, from)
		}
		checkEdits(t, rewriter(t, Change{At: at, Set: &to}), event)
	})
}

// checkEdits checks that edits are in order, apart, and of what strings and scalars hold: all else is left.
func checkEdits(t *testing.T, r *Rewriter, event []byte) {
	t.Helper()
	if !json.Valid(event) {
		return
	}
	w := walker{rules: r.rules.list, src: event, counts: make([]Count, r.changes)}
	w.space()
	w.value(append(base64Places(event), r.rules.start...))
	at := 0
	for _, e := range w.edits {
		if e.Start < at || e.End < e.Start || e.End > len(event) {
			t.Fatalf("edits %+v of %q", w.edits, event)
		}
		at = e.End
		if bytes.IndexByte([]byte(`{}[]`), event[max(0, e.Start-1)]) >= 0 && event[e.Start] == '"' {
			t.Fatalf("edit %+v of %q takes a quote", e, event)
		}
	}
	if w.i != len(bytes.TrimRight(event, " \t\r\n")) {
		t.Fatalf("the walk over %q ended at %d", event, w.i)
	}
}

func equal(t *testing.T, a, b []byte) bool {
	if !json.Valid(a) || !json.Valid(b) {
		return bytes.Equal(a, b)
	}
	x, err := jsonval.Parse(a)
	if err != nil {
		return true // deeper than it reads
	}
	y, err := jsonval.Parse(b)
	return err == nil && jsonval.Equal(x, y)
}
