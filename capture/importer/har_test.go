package importer

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"tandem/capture"
)

func TestHARBecomesEventsWithTheirAnswers(t *testing.T) {
	r, invs, err := importFile(t, "testdata/shop.har", Options{
		Hosts: []string{"API.example.com"}, Routes: []string{"$default", "POST /customers/{customerId}/orders"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 5 || r.Imported != 4 || r.Excluded != 1 || r.Unanswered != 1 || r.Files != 1 || len(invs) != 4 {
		t.Fatalf("%+v", r)
	}
	checkJSON(t, "HTTP/2 with a cookie", invs[0].Event, map[string]string{
		"routeKey": `"POST /customers/{customerId}/orders"`, "pathParameters": `{"customerId":"cust/1"}`,
		"rawPath": `"/customers/cust%2F1/orders"`, "rawQueryString": `"dry=false&tag=a&tag=b%20c"`,
		"queryStringParameters": `{"dry":"false","tag":"a,b c"}`, "cookies": `["sid=s-1","theme=dark"]`,
		"body": `"{\"items\":[{\"sku\":\"té\",\"price\":1.10}]}"`, "isBase64Encoded": `false`,
		"requestContext.http.method": `"POST"`, "requestContext.http.protocol": `"HTTP/2.0"`,
		"requestContext.domainName": `"api.example.com"`, "requestContext.requestId": `"aBcDeFgHiJkLmNo="`,
		"requestContext.timeEpoch": `1772359201250`,
		"headers": `{"accept":"application/json","accept-encoding":"gzip, deflate, br","content-length":"38",` +
			`"content-type":"application/json","host":"api.example.com","user-agent":"Mozilla/5.0 (X11; Linux x86_64)",` +
			`"x-forwarded-for":"127.0.0.1","x-forwarded-port":"443","x-forwarded-proto":"https"}`,
	})
	checkOutcome(t, "decompressed, with the time from sending to reading", invs[0].Outcome, &capture.Outcome{
		Status: capture.StatusOK, DurationMS: 112.5, Attempts: 1,
		HTTP: &capture.HTTPAnswer{
			Status:  201,
			Headers: map[string][]string{"apigw-requestid": {"aBcDeFgHiJkLmNo="}, "content-type": {"application/json"}},
			Cookies: []capture.Cookie{
				{Name: "sid", Value: "s-2", Attributes: map[string]string{"path": "/", "httponly": ""}},
				{Name: "last", Value: "ord_1"},
			},
			Body: &capture.Body{JSON: json.RawMessage(`{"orderId":"ord_1","total":1.10}`)},
		},
	})
	if inv := invs[0]; inv.Trigger != capture.TriggerHTTP || inv.Format != capture.FormatAPIGatewayV2 ||
		inv.Source != "import:testdata/shop.har#1" || !inv.Time.Equal(time.UnixMilli(1772359201250)) {
		t.Errorf("imported as %s, %s, %s, %s", inv.Trigger, inv.Format, inv.Source, inv.Time)
	}
	checkJSON(t, "HTTP/1.1 with cookies that are not in the headers", invs[1].Event, map[string]string{
		"rawPath": `"/products/7/picture"`, "cookies": `["sid=s-2"]`, "requestContext.http.protocol": `"HTTP/1.1"`,
		"requestContext.timeEpoch": `1772359202000`, "body": `null`, "routeKey": `"$default"`,
	})
	if got := invs[1].Outcome; string(got.HTTP.Body.Base64) != "\x89PNG\r\n\x1a\n" || got.DurationMS != 30 {
		t.Errorf("a binary answer is %+v", got)
	}
	checkJSON(t, "a form in parts", invs[2].Event, map[string]string{
		"headers.content-type": `"application/x-www-form-urlencoded"`, "isBase64Encoded": `true`,
		"body": `"` + base64.StdEncoding.EncodeToString([]byte("user=jo+%26+co&pass+word=%C3%BC%3D")) + `"`,
	})
	if invs[3].Outcome != nil {
		t.Errorf("an answer whose body is not in the file is %+v", invs[3].Outcome)
	}
}

func TestHARBecomesEventsOfTheFormatThatIsAskedFor(t *testing.T) {
	for _, format := range []capture.Format{
		capture.FormatAPIGatewayV1, capture.FormatAPIGatewayV2, capture.FormatFunctionURL, capture.FormatALB,
	} {
		_, invs, err := importFile(t, "testdata/shop.har", Options{Format: format})
		if err != nil || len(invs) != 5 {
			t.Fatalf("%s: %d invocations, %v", format, len(invs), err)
		}
		for _, inv := range invs {
			if _, got := capture.Detect(inv.Event); got != format || inv.Format != format {
				t.Errorf("%s: %s is taken for %s", format, inv.Source, got)
			}
		}
	}
}

// entry is a HAR entry with these members of the request, of the response, and more of its own. Empty ones stand for
// a request that was answered.
func entry(request, response, more string) string {
	if request == "" {
		request = `"method":"GET","url":"https://h/x"`
	}
	if response == "" {
		response = `"status":200,"content":{"size":0}`
	}
	if more != "" {
		more = "," + more
	}
	return `{"startedDateTime":"2026-03-01T10:00:00Z","request":{` + request + `},` +
		`"response":{` + response + `}` + more + `}`
}

func archive(entries ...string) string {
	return `{"log":{"version":"1.1","creator":{"name":"x"},"entries":[` + strings.Join(entries, ",\n") + `]}}`
}

func TestWhatIsNoRequestToTheAPIIsRefusedWithItsEntry(t *testing.T) {
	const (
		url   = `"method":"GET","url":"https://h/x"`
		post  = `"method":"POST","url":"https://h/x"`
		noURL = "it is no HTTP request by its URL"
	)
	for _, tc := range []struct{ why, entry, reason string }{
		{"blocked", entry(url, `"status":0,"_error":"net::ERR_BLOCKED_BY_CLIENT"`, ""),
			"it was not answered: net::ERR_BLOCKED_BY_CLIENT"},
		{"aborted", entry(url, `"status":0`, ""), "it was not answered: the status is 0"},
		{"data", entry(`"method":"GET","url":"data:image/png;base64,c2VjcmV0"`, "", ""), noURL},
		{"extension", entry(`"method":"GET","url":"chrome-extension://abc/x.js"`, "", ""), noURL},
		{"websocket by its URL", entry(`"method":"GET","url":"wss://h/x"`, "", ""), "it is a websocket"},
		{"websocket by its type", entry(url, "", `"_resourceType":"websocket"`), "it is a websocket"},
		{"websocket by its answer", entry(url, `"status":101`, ""), "it is a websocket"},
		{"websocket by its headers", entry(url+`,"headers":[{"name":"connection","value":"keep-alive, Upgrade"},`+
			`{"name":"upgrade","value":"websocket"}]`, "", ""), "it asks for another protocol"},
		{"cache", entry(url, "", `"_fromCache":"disk"`), "the browser's cache answered"},
		{"upload", entry(post+`,"bodySize":3`, "", ""), "its body of 3 bytes is not in the file"},
		{"upload of unknown size", entry(post+`,"bodySize":-1,`+
			`"headers":[{"name":"Content-Length","value":"3"}]`, "", ""), "its body of 3 bytes is not in the file"},
		{"form with files", entry(post+`,"postData":{"mimeType":"multipart/form-data; boundary=b",`+
			`"params":[{"name":"f","fileName":"a.txt"}]}`, "", ""), "its body is in the file only in parts"},
		{"wrong base64", entry(post+`,"postData":{"text":"*","encoding":"base64"}`, "", ""),
			"its body is not the base64 that the file says"},
		{"no URL", entry(`"method":"GET","url":""`, "", ""), "it has no URL"},
		{"no host", entry(`"method":"GET","url":"https:///x"`, "", ""), "the URL has no host"},
		{"method", entry(`"method":"PROPFIND","url":"https://h/x"`, "", ""), "its method is none that such an API takes"},
		{"header", entry(url+`,"headers":[{"name":"a b","value":"secret"}]`, "", ""), "a header has a name or a value"},
		{"wrong type", entry(url+`,"bodySize":"large"`, "", ""), "request.bodySize is a JSON string"},
		{"no entry", `7`, " is a JSON number"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			good := entry(url, "", "")
			r, invs, err := importText(t, "a.har", archive(tc.entry, good), Options{})
			if err != nil || r.Refused != 1 || len(invs) != 1 || len(r.Notes) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			if note := r.Notes[0]; note.Entry != 1 || !strings.HasPrefix(note.Reason, tc.reason) {
				t.Errorf("noted %s, want %q", note, tc.reason)
			}
			if invs[0].Outcome == nil {
				t.Error("the good one has no outcome")
			}
		})
	}
}

func TestHARRequestsAreReadAsTheyWereSent(t *testing.T) {
	const (
		get = `"method":"GET","url":`
		put = `"method":"PUT","url":"https://h/x"`
	)
	for _, tc := range []struct {
		why, request string
		want         map[string]string
	}{
		{"a path that net/url would write in another way stays", get + `"https://h/a|b/%7Eme/{x}//.?a=%zz;1"`,
			map[string]string{"rawPath": `"/a|b/%7Eme/{x}//."`, "rawQueryString": `"a=%zz;1"`}},
		{"what no request line can hold is escaped", get + `"https://h/a b/ü"`,
			map[string]string{"rawPath": `"/a%20b/%C3%BC"`}},
		{"no path is the root", get + `"https://u:p@h:8443?a=1"`, map[string]string{
			"rawPath": `"/"`, "rawQueryString": `"a=1"`, "headers.host": `"h:8443"`,
			"headers.x-forwarded-port": `"8443"`, "requestContext.domainName": `"h"`}},
		{"the query may be in the list alone",
			get + `"http://h/x","queryString":[{"name":"a","value":"1&2"},{"name":"b","value":""}]`,
			map[string]string{"rawQueryString": `"a=1%262&b="`, "headers.x-forwarded-proto": `"http"`}},
		{"the Host header wins over the URL",
			get + `"https://10.0.0.7/x","headers":[{"name":"Host","value":"api.example.com"}]`,
			map[string]string{"headers.host": `"api.example.com"`}},
		{"base64 is decoded",
			put + `,"postData":{"mimeType":"text/plain","text":"aGk=","encoding":"base64"}`,
			map[string]string{"body": `"hi"`}},
		{"text wins over params", put + `,"postData":{"mimeType":"text/plain","text":"hi",` +
			`"params":[{"name":"a"}]}`, map[string]string{"body": `"hi"`}},
		{"without headers there are those of gateways alone", get + `"https://h/x","headers":null`, map[string]string{
			"headers": `{"host":"h","content-length":"0","x-forwarded-for":"127.0.0.1","x-forwarded-port":"443",` +
				`"x-forwarded-proto":"https"}`}},
	} {
		_, invs, err := importText(t, "a.har", archive(entry(tc.request, "", "")), Options{})
		if err != nil || len(invs) != 1 {
			t.Errorf("%s: %d invocations, %v", tc.why, len(invs), err)
			continue
		}
		checkJSON(t, tc.why, invs[0].Event, tc.want)
	}
}

func TestWhatIsForAnotherHostIsLeftOutAndNotRefused(t *testing.T) {
	text := archive(
		entry(`"method":"GET","url":"https://ads.example.net/x"`, `"status":0,"_error":"net::ERR_BLOCKED_BY_CLIENT"`, ""),
		entry(`"method":"GET","url":"data:text/plain,x"`, "", ""),
		entry(`"method":"GET","url":"wss://api.example.com/x"`, "", ""))
	r, _, err := importText(t, "a.har", text, Options{Hosts: []string{"api.example.com"}})
	if err != nil || r.Excluded != 2 || r.Refused != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTheSameEntryIsImportedOnce(t *testing.T) {
	one := entry(`"method":"GET","url":"https://h/x"`, "", `"time":1`)
	other := entry(`"method":"GET","url":"https://h/x"`, "", `"time":2`)
	r, invs, err := importText(t, "a.har", archive(one, one, other), Options{})
	if err != nil || len(invs) != 2 || r.Duplicates != 1 || r.Notes[0].Entry != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestABrokenArchiveIsImportedUpToThere(t *testing.T) {
	one, two := entry(`"method":"GET","url":"https://h/1"`, "", ""), entry(`"method":"GET","url":"https://h/2"`, "", "")
	whole := archive(one, two)
	for _, tc := range []struct {
		why, text string
		imported  int
		err       string
	}{
		{"cut off between entries", whole[:strings.Index(whole, "\n")], 1, "a.har#2: the file is cut off"},
		{"cut off within an entry", whole[:len(whole)-20], 1, "a.har#2: the file is cut off"},
		{"cut off after the entries", whole[:len(whole)-1], 2, "a.har#3: the file is cut off"},
		{"not JSON", archive(one, "{]", two), 1, "a.har#2: after byte "},
		{"something after it", whole + "x", 2, "a.har: this is not a HAR file: there is more after its end"},
		{"no list", `{"log":{"entries":{}}}`, 0, "a.har: this is not a HAR file: log.entries is not a list"},
		{"no log", `[]`, 0, "a.har: this is not a HAR file: no object around log"},
		{"empty", "", 0, "a.har#1: the file is cut off"},
	} {
		r, invs, err := importText(t, "a.har", tc.text, Options{})
		if err == nil || !strings.Contains(err.Error(), tc.err) || len(invs) != tc.imported || r.Refused != 1 {
			t.Errorf("%s: %v, %+v, want %q", tc.why, err, r, tc.err)
		}
	}
}

// endless is an archive of n entries, each with a page of text.
type endless struct {
	entry string
	n     int
	rest  *strings.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	for e.rest.Len() == 0 {
		switch e.n--; {
		case e.n > 0:
			e.rest.Reset(e.entry + ",")
		case e.n == 0:
			e.rest.Reset(e.entry + "]}}")
		default:
			return 0, io.EOF
		}
	}
	return e.rest.Read(p)
}

func TestMemoryDoesNotGrowWithAnArchive(t *testing.T) {
	const pageSize, entries = 32 << 10, 200
	in := &endless{n: entries, rest: strings.NewReader(`{"log":{"entries":[`)}
	in.entry = entry("", `"status":200,"content":{"text":"`+strings.Repeat("x", pageSize)+`"}`, "")
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	seen := 0
	for _, err := range harEntries(in) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen%50 == 25 {
			if held := int64(heap()) - int64(before); held > 20*pageSize {
				t.Fatalf("after %d entries, %d KiB are held", seen, held>>10)
			}
		}
	}
	if seen != entries {
		t.Errorf("%d entries", seen)
	}
}

func FuzzHAR(f *testing.F) {
	shop, err := os.ReadFile("testdata/shop.har")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shop)
	odd := entry(`"method":"GET","url":"http://:80\xff/?#"`, "", "")
	f.Add([]byte(archive(entry("", "", `"_fromCache":false`), odd, "{}")))
	f.Add([]byte(`{"log":{"n":9E999,"entries":[{"time":9E999}],"entries":[[[]]]},"x":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, invs, err := importBytes(t, data, Options{Routes: []string{"ANY /{a+}", "GET /"}},
			func(im *importer, from origin, in *bufio.Reader) error { return im.har(from, in) })
		if err != nil {
			t.Fatal(err) // of a place that cannot be read, Import tells at its end
		}
		checkRecordable(t, invs)
	})
}
