package replay

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// written is what net/http writes of a request.
func written(t *testing.T, req *http.Request, content []byte) []byte {
	t.Helper()
	plain := req.Clone(t.Context())
	plain.Body, plain.ContentLength = requestBody(req.Method, content), int64(len(content))
	var out bytes.Buffer
	if err := plain.Write(&out); err != nil {
		t.Fatalf("net/http writes no %s %s: %v", req.Method, req.URL, err)
	}
	return out.Bytes()
}

// checkWritten checks that a request is written as net/http writes it, if it is written at all.
func checkWritten(t *testing.T, req *http.Request, content []byte) (ok bool) {
	t.Helper()
	got, ok := appendRequest([]byte("x"), req, content)
	if !ok {
		return false
	}
	if want := "x" + string(written(t, req, content)); string(got) != want {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	return true
}

func TestRequestsAreWrittenAsNetHTTPWritesThem(t *testing.T) {
	agent := http.Header{"User-Agent": {"shop/1.0"}}
	tests := []struct {
		name, method, url string
		header            http.Header
		content           string
		fast              bool
	}{
		{"with a body", "POST", "http://a.example/orders?a=b&c", agent, `{"a":1}`, true},
		{"a POST without a body says so", "POST", "http://a.example:8080/", agent, "", true},
		{"a DELETE without a body does not", "DELETE", "http://127.0.0.1:8080/x", agent, "", true},
		{"a GET without a body", "GET", "https://a.example/%2F%20", agent, "", true},
		{"a GET with a body", "GET", "https://a.example", agent, "x", true},
		{"a method of its own", "PURGE", "https://a.example/x", agent, "", true},
		{"no user agent", "GET", "http://a.example/", http.Header{"User-Agent": {""}}, "", true},
		{"net/http's user agent", "GET", "http://a.example/", http.Header{}, "", false},
		{"names in lower case, in their order", "PUT", "http://a.example/", http.Header{
			"User-Agent": {"a"}, "x-b": {"1", " 2\t"}, "x-a": {""}, "Zed": {"z"}, "cookie": {"a=b; c=d"},
		}, "", true},
		{"names that net/http keeps for itself", "PUT", "http://a.example/", http.Header{
			"User-Agent": {"a", "b"}, "Host": {"b"}, "Content-Length": {"7"}, "Transfer-Encoding": {"x"}, "Trailer": {"y"},
		}, "abc", true},
		{"a value with a line end", "PUT", "http://a.example/", http.Header{"User-Agent": {"a"}, "x": {"a\r\nb: c"}}, "", false},
		{"a user agent with a line end", "PUT", "http://a.example/", http.Header{"User-Agent": {"a\nb: c"}}, "", false},
		{"a name that is none", "PUT", "http://a.example/", http.Header{"User-Agent": {"a"}, "x y": {"a"}}, "", false},
		{"a host that is not ASCII", "PUT", "http://bücher.example/", agent, "", false},
		{"an address with a zone", "PUT", "http://[fe80::1%25en0]:80/", agent, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			req := &http.Request{Method: tt.method, URL: u, Header: tt.header}
			if fast := checkWritten(t, req, []byte(tt.content)); fast != tt.fast {
				t.Errorf("it is written: %v, want %v", fast, tt.fast)
			}
		})
	}
}

func TestAnyRequestIsWrittenAsNetHTTPWritesIt(t *testing.T) {
	const alphabet = "aZ09-_.~ \t\"\\/:;=&?%+\r\né\x00\x7f"
	fast := 0
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		text := func(most int) string {
			b := make([]byte, rnd.IntN(most))
			for i := range b {
				b[i] = alphabet[rnd.IntN([]int{8, len(alphabet)}[rnd.IntN(2)])]
			}
			return string(b)
		}
		u := &url.URL{Scheme: "http", Host: "a.example", Path: "/" + text(20), RawQuery: url.QueryEscape(text(10))}
		header := http.Header{"User-Agent": {"shop/1.0"}}
		for range rnd.IntN(20) {
			header[strings.ToLower(text(6))] = []string{text(12), text(12)}[:1+rnd.IntN(2)]
		}
		methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"}
		req := &http.Request{Method: methods[rnd.IntN(len(methods))], URL: u, Header: header}
		if checkWritten(t, req, []byte(text(30))) {
			fast++
		}
	}
	if fast < 100 {
		t.Errorf("only %d of the requests were written", fast)
	}
}

// checkParsed checks that an answer is read as net/http reads it, if it is read at all.
func checkParsed(t *testing.T, data []byte, method string) (ok bool) {
	t.Helper()
	req := &http.Request{Method: method}
	got, size, ok := parseAnswer(data, req)
	if !ok {
		return false
	}
	in := bytes.NewReader(data)
	buffered := bufio.NewReader(in)
	want, err := http.ReadResponse(buffered, req)
	if err != nil {
		t.Fatalf("%q is taken, and net/http says %v", data, err)
	}
	if read := len(data) - in.Len() - buffered.Buffered(); read != size {
		t.Fatalf("the header of %q takes %d bytes, and for net/http %d", data, size, read)
	}
	body, err := io.ReadAll(want.Body)
	if length := int64(len(data) - size); err == nil && int64(len(body)) != got.ContentLength || err != nil && length >= got.ContentLength {
		t.Fatalf("%q has a body of %d bytes, and for net/http of %d, %v", data, got.ContentLength, len(body), err)
	}
	want.Body = got.Body
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q\nis   %+v\nwant %+v", data, got, want)
	}
	return true
}

var answers = []struct {
	name, method, text string
	fast               bool
}{
	{"as most are", "POST", "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nDate: x\r\nContent-Length: 2\r\n\r\n{}", true},
	{"without a reason", "GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false},
	{"without a reason or a space", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", true},
	{"a name twice, and in lower case", "GET", "HTTP/1.1 404 Not Found\r\nset-cookie: a=b\r\nSet-Cookie:c=d \r\ncontent-length:0\r\n\r\n", true},
	{"an empty value", "GET", "HTTP/1.1 200 OK\r\nX:\r\nContent-Length: 0\r\n\r\n", true},
	{"a body that is not all there", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123", true},
	{"more than the body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n123", true},
	{"an interim answer", "GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n", false},
	{"no body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", false},
	{"nothing new", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", false},
	{"to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false},
	{"of no length", "GET", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", false},
	{"of two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", false},
	{"a length that is none", "GET", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n", false},
	{"in chunks", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
	{"the last on its connection", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", false},
	{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false},
	{"a folded line", "GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 3\r\n\r\n", false},
	{"a bare line end", "GET", "HTTP/1.1 200 OK\nX: a\nContent-Length: 3\r\n\r\n", false},
	{"a name with a space", "GET", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 3\r\n\r\n", false},
	{"a line without a name", "GET", "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 3\r\n\r\n", false},
	{"a value that is not ASCII", "GET", "HTTP/1.1 200 OK\r\nX: é\r\nContent-Length: 3\r\n\r\n", false},
	{"half a header", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", false},
	{"no header", "GET", "HTTP/1.1 200 OK\r\n\r\n", false},
	{"no HTTP", "GET", "hello\r\n\r\n", false},
	{"no cache", "GET", "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n", false},
}

func TestAnswersAreReadAsNetHTTPReadsThem(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			if fast := checkParsed(t, []byte(tt.text), tt.method); fast != tt.fast {
				t.Errorf("it is read: %v, want %v", fast, tt.fast)
			}
		})
	}
}

func FuzzParseAnswer(f *testing.F) {
	for _, tt := range answers {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkParsed(t, data, http.MethodPost) })
}
