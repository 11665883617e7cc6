package importer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tandem/capture"
)

// gorTime is when the records of tests were made, in nanoseconds since 1970.
const gorTime = 1772359200000000000

// record is a GoReplay record; lines of the text are separated by \n, and its body follows an empty line as it is.
func record(head, text string) string {
	top, body, _ := strings.Cut(text, "\n\n")
	return head + "\n" + strings.ReplaceAll(top, "\n", "\r\n") + "\r\n\r\n" + body + "\n" + gorSeparator + "\n"
}

func TestGoReplayBecomesEventsWithTheirAnswers(t *testing.T) {
	r, invs, err := importFile(t, "testdata/shop.gor", Options{
		Routes: []string{"$default", "POST /customers/{customerId}/orders"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 6 || len(invs) != 6 || r.Unanswered != 1 || r.Files != 1 {
		t.Fatalf("%+v", r)
	}
	if got := r.Notes[0].String(); got != "testdata/shop.gor: skipped: 1 answers to a replay of GoReplay, "+
		"which are not those of the API" {
		t.Errorf("noted %s", got)
	}
	checkJSON(t, "a chunked request through proxies", invs[0].Event, map[string]string{
		"routeKey": `"POST /customers/{customerId}/orders"`, "pathParameters": `{"customerId":"c/1"}`,
		"rawPath": `"/customers/c%2F1/orders"`, "rawQueryString": `"q=a+b&q=%C3%BC"`,
		"cookies": `["sid=s-1","theme=dark"]`, "body": `"{\"items\": []}"`, "isBase64Encoded": `false`,
		"requestContext.requestId": `"aBcDeFgHiJkLmNo="`, "requestContext.timeEpoch": `1772359200000`,
		"requestContext.http.sourceIp": `"10.0.0.4"`,
		"headers": `{"content-length":"13","content-type":"application/json","host":"api.example.com","x-tag":"one,two",` +
			`"x-forwarded-for":"203.0.113.9, 10.0.0.4","x-forwarded-port":"443","x-forwarded-proto":"https"}`,
	})
	checkJSON(t, "a binary body with line ends", invs[4].Event, map[string]string{
		"body": `"` + base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n\n\n\xff\x00\r\n")) + `"`,
	})
	type answer struct {
		Path, Source string
		Status       int
		Body         string
		MS           float64
	}
	var got []answer
	for _, inv := range invs {
		var e struct{ RawPath string }
		if err := json.Unmarshal(inv.Event, &e); err != nil {
			t.Fatal(err)
		}
		a := answer{Path: e.RawPath, Source: inv.Source}
		if o := inv.Outcome; o != nil {
			a.Status, a.Body, a.MS = o.HTTP.Status, string(o.HTTP.Body.Bytes()), o.DurationMS
		}
		got = append(got, a)
	}
	want := []answer{ // in the order of the requests
		{"/customers/c%2F1/orders", "import:testdata/shop.gor:1", 201, `{"id":"ord_1"}`, 25},
		{"/products/7", "import:testdata/shop.gor:21", 200, `{"n":10}`, 2.1},
		{"/products/8", "import:testdata/shop.gor:56", 404, "", 2},
		{"/products/7", "import:testdata/shop.gor:69", 200, "", 1}, // HEAD: its Content-Length has no body
		{"/products/7/picture", "import:testdata/shop.gor:81", 204, "", 1},
		{"/slow", "import:testdata/shop.gor:102", 0, "", 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]capture.Cookie{
		{Name: "sid", Value: "s-2", Attributes: map[string]string{"path": "/", "httponly": ""}},
		{Name: "last", Value: "ord_1"},
	}, invs[0].Outcome.HTTP.Cookies); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
}

// times are the numbers at the end of a record's head.
func times(n ...int64) string { return strings.Trim(fmt.Sprint(n), "[]") }

func TestAnAnswerTakesAsLongAsItsVersionOfGoReplaySays(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, tc := range []struct {
		why, request, answer string
		want                 float64
	}{
		{"both with the time that they took to pass", times(gorTime, 2*ms), times(gorTime+10*ms, 3*ms), 13},
		{"the latency from the request on", times(gorTime), times(gorTime+10*ms, 12*ms), 12},
		{"the latency, at the time of the request", times(gorTime), times(gorTime, 12*ms), 12},
		{"times alone", times(gorTime), times(gorTime + 7*ms), 7},
		{"the time that it took in the place of a time", times(gorTime), times(9 * ms), 9},
	} {
		text := record("1 00112233445566778899aabb "+tc.request, "GET / HTTP/1.1\nHost: h") +
			record("2 00112233445566778899aabb "+tc.answer, "HTTP/1.1 204 No Content")
		_, invs, err := importText(t, "a.gor", text, Options{})
		if err != nil || len(invs) != 1 || invs[0].Outcome == nil {
			t.Errorf("%s: %d invocations, %v", tc.why, len(invs), err)
			continue
		}
		if got := invs[0].Outcome.DurationMS; got != tc.want {
			t.Errorf("%s: %v ms, want %v", tc.why, got, tc.want)
		}
	}
}

func TestAnswersFindTheirRequests(t *testing.T) {
	request := func(id string, at int64, path string) string {
		return record(fmt.Sprintf("1 %s %d 0", id, gorTime+at), "GET "+path+" HTTP/1.1\nHost: h")
	}
	answer := func(id string, at int64, body string) string {
		return record(fmt.Sprintf("2 %s %d 0", id, gorTime+at),
			fmt.Sprintf("HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: %d\n\n%s", len(body), body))
	}
	pipelined := strings.Replace(request("aaaaaaaa", 1, "/1"), "\n"+gorSeparator+"\n", "", 1) +
		"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n\n" + gorSeparator + "\n"
	for _, tc := range []struct {
		why, text string
		want      string // path=answer
		refused   int
	}{
		{"one after the other on a connection with one ID", request("aaaaaaaa", 1, "/1") + answer("aaaaaaaa", 2, "one") +
			request("aaaaaaaa", 3, "/2") + answer("aaaaaaaa", 4, "two"), "/1=one /2=two", 0},
		{"written late", request("aaaaaaaa", 1, "/1") + request("aaaaaaaa", 3, "/2") + answer("aaaaaaaa", 4, "two") +
			answer("aaaaaaaa", 2, "one"), "/1=one /2=two", 0},
		{"the first is never answered", request("aaaaaaaa", 1, "/1") + request("aaaaaaaa", 3, "/2") +
			answer("aaaaaaaa", 4, "two"), "/1= /2=two", 0},
		{"two connections", request("aaaaaaaa", 1, "/1") + request("bbbbbbbb", 1, "/2") + answer("bbbbbbbb", 2, "two") +
			answer("aaaaaaaa", 2, "one"), "/1=one /2=two", 0},
		{"a separator is missing", pipelined + answer("aaaaaaaa", 2, "one") + answer("aaaaaaaa", 3, "two"),
			"/1=one /2=two", 0},
		{"nobody asked", answer("aaaaaaaa", 2, "one") + request("aaaaaaaa", 3, "/2"), "/2=", 1},
		{"answered twice", request("aaaaaaaa", 1, "/1") + answer("aaaaaaaa", 2, "one") + answer("aaaaaaaa", 3, "two"),
			"/1=one", 1},
	} {
		r, invs, err := importText(t, "a.gor", tc.text, Options{})
		if err != nil || r.Refused != tc.refused {
			t.Errorf("%s: %+v, %v", tc.why, r, err)
		}
		var got []string
		for _, inv := range invs {
			var e struct{ RawPath string }
			if err := json.Unmarshal(inv.Event, &e); err != nil {
				t.Fatal(err)
			}
			body := ""
			if inv.Outcome != nil {
				body = string(inv.Outcome.HTTP.Body.Bytes())
			}
			got = append(got, e.RawPath+"="+body)
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.why, text, tc.want)
		}
	}
}

func TestBadRecordsAreToldWithTheirLines(t *testing.T) {
	const id = " 00112233445566778899aabb "
	head := "1" + id + times(gorTime)
	answer := "2" + id + times(gorTime+5, 0)
	end := "\n" + gorSeparator + "\n"
	good := record(head, "GET /good HTTP/1.1\nHost: h")
	for _, tc := range []struct {
		why, text string
		imported  int
		note      string
		err       string // "" for nil
	}{
		{"a request that is cut off", record(head, "POST / HTTP/1.1\nHost: h\nContent-Length: 10\n\nabc"), 1,
			":1: refused: its body is cut off after 3 bytes", ""},
		{"chunks that are cut off", record(head, "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n5\r\nab"), 1,
			":1: refused: its body is cut off after 2 bytes", ""},
		{"another protocol", head + "\n\x00\x01secret" + end, 1, ":1: refused: it is not an HTTP/1 request", ""},
		{"a websocket", record(head, "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: websocket"), 1,
			":1: refused: it asks for another protocol", ""},
		{"half a method", record(head, "ST / HTTP/1.1\nHost: h"), 1, ":1: refused: its method is none", ""},
		{"no head", "secret" + end, 1, ":1: refused: this is not the head", "a.gor:1: this is not the head"},
		{"no time", "1 00112233 x" + end, 1, ":1: refused: the record has no time", "a.gor:1: "},
		{"an answer that is cut off", record(head+" 0", "GET /1 HTTP/1.1\nHost: h") +
			record(answer, "HTTP/1.1 200 OK\nContent-Length: 9\n\nabc"), 2,
			":7: changed: the answer was left out: its body is cut off after 3 bytes", ""},
		{"an answer that is none", record(head+" 0", "GET /1 HTTP/1.1\nHost: h") +
			record(answer, "secret"), 2,
			":7: changed: the answer was left out: it is not an HTTP/1 response", ""},
		{"twice the same", good, 1, ":7: duplicate: the same request was imported already", ""},
	} {
		t.Run(tc.why, func(t *testing.T) {
			r, invs, err := importText(t, "a.gor", tc.text+good, Options{})
			if len(invs) != tc.imported || len(r.Notes) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			if note := r.Notes[0].String(); !strings.Contains(note, tc.note) || strings.Contains(note, "secret") {
				t.Errorf("noted %q, want %q", note, tc.note)
			}
			if err == nil != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
		})
	}
}

func TestAFileThatGoReplayDidNotFinish(t *testing.T) {
	good := record("1 00112233445566778899aabb "+times(gorTime), "GET /good HTTP/1.1\nHost: h")
	last := record("1 00112233445566778899aabc "+times(gorTime),
		"POST /last HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc")
	end := len("\n" + gorSeparator + "\n")
	var wide strings.Builder // what does not compress is cut off sooner
	for i := range 4000 {
		fmt.Fprintf(&wide, "%x", i*i*7919)
	}
	long := record("1 00112233445566778899aabd "+times(gorTime),
		fmt.Sprintf("POST /long HTTP/1.1\nHost: h\nContent-Length: %d\n\n%s", wide.Len(), wide.String()))
	zip := zipped(t, good+long)
	for _, tc := range []struct {
		why, text         string
		imported, refused int
		err               string
	}{
		{"the last separator is missing", good + last[:len(last)-end], 2, 0, ""},
		{"a part of it is", good + last[:len(last)-3], 2, 0, ""},
		{"the last record is cut off", good + last[:len(last)-end-1], 1, 1, ""},
		{"and in its head", good + last[:3], 1, 1, "a.gor:7: "},
		{"compressed", zip[:len(zip)-500], 1, 1, "a.gor:7: the file is cut off"},
		{"compressed, without the checksum", zip[:len(zip)-8], 2, 1, "the file is cut off"},
	} {
		r, invs, err := importText(t, "a.gor", tc.text, Options{})
		if len(invs) != tc.imported || r.Refused != tc.refused || err == nil != (tc.err == "") ||
			err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %+v, %v", tc.why, r, err)
		}
	}
}

func TestRequestsWaitWithinBounds(t *testing.T) {
	var text strings.Builder
	const n = maxWaiting + 100
	for i := range n {
		head := "1 aaaaaaaa " + times(gorTime+int64(i), 0)
		text.WriteString(record(head, fmt.Sprintf("GET /%d HTTP/1.1\nHost: h", i)))
	}
	// The last is answered; the first has been pushed out.
	text.WriteString(record(fmt.Sprintf("2 aaaaaaaa %d 0", int64(gorTime)+n), "HTTP/1.1 204 No Content"))
	text.WriteString(record(fmt.Sprintf("2 aaaaaaaa %d 0", int64(gorTime)), "HTTP/1.1 204 No Content"))
	r, invs, err := importText(t, "a.gor", text.String(), Options{})
	if err != nil || r.Imported != n || r.Unanswered != n-1 || r.Refused != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if invs[n-1].Outcome == nil {
		t.Error("the last has no answer")
	}
}

// rebuilt is what an event of payload format 2.0 says of the request that it was made of.
type rebuilt struct {
	Method, Path, Query, Host string
	Header                    http.Header // lower case, without what gateways write anew
	Cookies                   []string
	Body                      []byte
}

func rebuild(t testing.TB, event []byte) rebuilt {
	t.Helper()
	var e struct {
		RawPath, RawQueryString string
		Headers                 map[string]string
		Cookies                 []string
		Body                    string
		IsBase64Encoded         bool
		RequestContext          struct{ HTTP struct{ Method string } }
	}
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatal(err)
	}
	r := rebuilt{Method: e.RequestContext.HTTP.Method, Path: e.RawPath, Query: e.RawQueryString, Host: e.Headers["host"],
		Header: http.Header{}, Cookies: e.Cookies, Body: []byte(e.Body)}
	for name, value := range e.Headers {
		r.Header[name] = []string{value}
	}
	for _, name := range []string{"host", "content-length", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"} {
		delete(r.Header, name)
	}
	if e.IsBase64Encoded {
		var err error
		if r.Body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// FuzzGoReplayKeepsRequests writes a request as it would pass on the wire, and compares what comes out of the event.
func FuzzGoReplayKeepsRequests(f *testing.F) {
	f.Add("/customers/a%2Fb/orders", "q=1&q=+%20&", "one", "a=1", "text/plain", []byte("hello"), false)
	f.Add("/a|{}//../%7E", "", "", "", "application/json", []byte("{\"a\":1.0}\n"), true)
	f.Add("/", "=&=", "ü", "x=y=z", "", []byte{0xff, 0, '\r', '\n', '\n'}, true)
	f.Add("/x", "a", "2 aaaaaaaa 1", "", "image/png", []byte("\n🐵🙈🙉"), false)
	f.Fuzz(func(t *testing.T, path, query, tag, cookie, contentType string, body []byte, chunked bool) {
		odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '\ufffd' }
		if strings.ContainsFunc(path+query+tag+cookie+contentType, odd) {
			return // not on the wire as it is, or trimmed
		}
		target := "/" + strings.TrimPrefix(path, "/")
		if query != "" {
			target += "?" + query
		}
		wire := "POST " + target + " HTTP/1.1\r\nHost: api.example.com\r\nX-Tag: " + tag + "\r\nX-Tag: b\r\n"
		if cookie = strings.ReplaceAll(cookie, ";", ""); cookie != "" {
			wire += "Cookie: " + cookie + "; z=1\r\n"
		}
		if contentType != "" {
			wire += "Content-Type: " + contentType + "\r\n"
		}
		if chunked {
			wire += "Transfer-Encoding: chunked\r\n\r\n"
			if len(body) > 0 {
				wire += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
			wire += "0\r\n\r\n"
		} else {
			wire += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
		}
		if strings.Contains("\n"+wire+"\n", "\n"+gorSeparator+"\n") || strings.Contains(path+query, "#") {
			return // GoReplay itself cannot tell such a record's end
		}
		if _, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire))); err != nil {
			return // no server takes it
		}
		text := "1 00112233445566778899aabb " + times(gorTime) + " 0\n" + wire + "\n" + gorSeparator + "\n"
		r, invs, err := importBytes(t, []byte(text), Options{}, (*importer).goReplay)
		if err != nil || len(invs) != 1 {
			t.Fatalf("%+v, %v of %q", r, err, text)
		}
		want := rebuilt{Method: "POST", Host: "api.example.com", Header: http.Header{"x-tag": {tag + ",b"}}, Body: body}
		want.Path, want.Query, _ = strings.Cut(target, "?")
		if contentType != "" {
			want.Header["content-type"] = []string{contentType}
		}
		if cookie != "" {
			want.Cookies = []string{cookie, "z=1"}
		}
		if diff := cmp.Diff(want, rebuild(t, invs[0].Event), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("of %q (-want +got):\n%s", wire, diff)
		}
	})
}

func FuzzGoReplay(f *testing.F) {
	shop, err := os.ReadFile("testdata/shop.gor")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shop)
	f.Add(bytes.ReplaceAll(shop, []byte("\r\n"), []byte("\n")))
	f.Add([]byte("1 a 1\n" + gorSeparator + "\n2 a 1\nHTTP/1.1 200 OK\n\n\n" + gorSeparator))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, invs, err := importBytes(t, data, Options{Format: capture.FormatAPIGatewayV1}, (*importer).goReplay)
		if err != nil {
			t.Fatal(err) // of a place that cannot be read, Import tells at its end
		}
		checkRecordable(t, invs)
	})
}
