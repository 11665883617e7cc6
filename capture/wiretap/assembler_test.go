package wiretap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// notes puts down what an observer is told, a line each.
type notes []string

func (n *notes) observer() Observer {
	add := func(format string, args ...any) { *n = append(*n, fmt.Sprintf(format, args...)) }
	return Observer{
		Opened: func(conn uint64) { add("opened %d", conn) },
		Closed: func(conn uint64) { add("closed %d", conn) },
		Asked:  func(x *Exchange) { add("asked %s", x.Request.URL.Path) },
		Done:   func(x *Exchange) { add("done %s", describe(x)) },
	}
}

func describe(x *Exchange) string {
	body := func(b Body, trailer http.Header) string {
		text := fmt.Sprintf("%q", b.Bytes)
		if b.Cut() {
			text += fmt.Sprintf(" of %d", b.Size)
		}
		if !b.Whole {
			text += " cut off"
		}
		for name := range trailer {
			text += fmt.Sprintf(" %s=%s", name, trailer.Get(name))
		}
		return text
	}
	text := fmt.Sprintf("%s %s %s", x.Request.Method, x.Request.URL.Path, body(x.RequestBody, x.Request.Trailer))
	if x.Response != nil {
		text += fmt.Sprintf(" -> %d %s", x.Response.StatusCode, body(x.ResponseBody, x.Response.Trailer))
	}
	if x.Broken != nil {
		text += " broken: " + x.Broken.Error()
	}
	return text
}

// script makes segments of texts: "> " is from the client, "< " from the server, else it is the name of a kind.
func script(conn uint64, lines ...string) []Segment {
	var all []Segment
	for i, line := range lines {
		s := Segment{Conn: conn, At: Moment{Tick: time.Duration(i)}}
		switch text := []byte(line[min(2, len(line)):]); {
		case strings.HasPrefix(line, "> "):
			s.Kind, s.Data = Client, text
		case strings.HasPrefix(line, "< "):
			s.Kind, s.Data = Server, text
		case line == "open":
			s.Kind = Open
		case line == "resume":
			s.Kind = Resume
		case line == "resume, server last":
			s.Kind, s.ServerLast = Resume, true
		case line == "end":
			s.Kind = ServerEnd
		case line == "close":
			s.Kind = Close
		default:
			panic(line)
		}
		all = append(all, s)
	}
	return all
}

func TestBytesBecomeExchanges(t *testing.T) {
	const get = "> GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
	tests := []struct {
		name, reason string
		script       []string
		want         []string
	}{
		{
			name: "kept alive", reason: "one after the other", script: []string{
				"open", get, "< HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
				"> POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "< HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
				"close",
			},
			want: []string{
				"opened 1", "asked /a", `done GET /a "" -> 200 "hi"`, "asked /b", `done POST /b "abc" -> 202 ""`, "closed 1",
			},
		},
		{
			name: "chunks and trailers", reason: "both ways", script: []string{
				"open", "> POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n",
				"> 3;x=y\r\nabc\r\n1", "> 0\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n",
				"< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			},
			want: []string{"opened 1", "asked /c", `done POST /c "abc0123456" of 19 T=1 -> 200 "ok"`},
		},
		{
			name: "until the end", reason: "an answer without a length", script: []string{
				"open", get, "< HTTP/1.0 200 OK\r\n\r\nall", "< of it", "end", "close",
			},
			want: []string{"opened 1", "asked /a", `done GET /a "" -> 200 "allof it"`, "closed 1"},
		},
		{
			name: "no bodies", reason: "where HTTP has none", script: []string{
				"open", "> HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n", "< HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
				get, "< HTTP/1.1 204 No Content\r\n\r\n", get, "< HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
			},
			want: []string{
				"opened 1", "asked /h", `done HEAD /h "" -> 200 ""`, "asked /a", `done GET /a "" -> 204 ""`,
				"asked /a", `done GET /a "" -> 304 ""`,
			},
		},
		{
			name: "continue", reason: "interim answers are none", script: []string{
				"open", "> POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
				"< HTTP/1.1 100 Continue\r\n\r\n", "> ab", "< HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			},
			want: []string{"opened 1", "asked /e", `done POST /e "ab" -> 200 ""`},
		},
		{
			name: "pipelined", reason: "answers are in the order of requests", script: []string{
				"open", get + "GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
				"< HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n2",
			},
			want: []string{"opened 1", "asked /a", "asked /b", `done GET /a "" -> 200 "1"`, `done GET /b "" -> 404 "2"`},
		},
		{
			name: "answered early", reason: "an answer may come before the request is whole", script: []string{
				"open", "> POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab",
				"< HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", "> cd", get, "< HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			},
			want: []string{"opened 1", `done POST /f "abcd" -> 413 ""`, "asked /a", `done GET /a "" -> 200 ""`},
		},
		{
			name: "given up early", reason: "the client does not go on", script: []string{
				"open", "> POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab",
				"< HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", "close",
			},
			want: []string{
				"opened 1", `done POST /f "ab" cut off -> 413 "" broken: the connection was closed before its end`, "closed 1",
			},
		},
		{
			name: "cut off", reason: "half an answer is told as such", script: []string{
				"open", get, "< HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha", "close",
			},
			want: []string{
				"opened 1", "asked /a", `done GET /a "" -> 200 "ha" cut off broken: the connection was closed before its end`,
				"closed 1",
			},
		},
		{
			name: "no answer", reason: "so is none", script: []string{"open", get, "close"},
			want: []string{
				"opened 1", "asked /a", `done GET /a "" cut off broken: the connection was closed before its end`, "closed 1",
			},
		},
		{
			name: "gap", reason: "what is missing breaks what is under way, and no more", script: []string{
				"open", get, "resume", "> ssing", "< of an answer", get, "< HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			},
			want: []string{
				"opened 1", "asked /a", `done GET /a "" broken: some of it was not copied`,
				"asked /a", `done GET /a "" -> 200 ""`,
			},
		},
		{
			name: "late observer", reason: "the client begins when the server has spoken", script: []string{
				"resume, server last", "< more of an answer", get, "< HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			},
			want: []string{"opened 1", "asked /a", `done GET /a "" -> 200 ""`},
		},
		{
			name: "not HTTP", reason: "it is passed over until there is a request", script: []string{
				"open", "> \x16\x03\x01\r\n\r\n", "< \x00", get, "< HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			},
			want: []string{"opened 1", "asked /a", `done GET /a "" -> 200 ""`},
		},
		{
			name: "switched", reason: "what comes then is not HTTP", script: []string{
				"open", "> GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
				"< HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nGET", "> GET / HTTP/1.1\r\n\r\n", "close",
			},
			want: []string{"opened 1", "asked /ws", `done GET /ws "" -> 101 ""`, "closed 1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got notes
			a := NewAssembler(got.observer(), 10)
			for _, s := range script(1, test.script...) {
				a.Add(s)
			}
			want := test.want
			for i := range want { // a request that was seen is whole, whatever became of its answer
				want[i] = strings.Replace(want[i], `"" cut off broken`, `"" broken`, 1)
			}
			if diff := cmp.Diff(want, []string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
		})
	}
}

func TestTimesAreThoseOfTheBytes(t *testing.T) {
	var got *Exchange
	a := NewAssembler(Observer{Done: func(x *Exchange) { got = x }}, 10)
	for _, s := range script(1, "open", "> POST / HTTP/1.1\r\nHos", "> t: h\r\nContent-Length: 1\r\n\r\n", "> 1",
		"< HTTP/1.1 200 OK\r\nContent-", "< Length: 2\r\n\r\n1", "< 2") {
		a.Add(s)
	}
	times := []time.Duration{
		got.RequestBody.First.Tick, got.RequestBody.Last.Tick, got.ResponseBody.First.Tick, got.ResponseBody.Last.Tick,
	}
	if diff := cmp.Diff([]time.Duration{1, 3, 4, 6}, times); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEndBreaksWhatIsNotOver(t *testing.T) {
	var got notes
	a := NewAssembler(got.observer(), 10)
	for id := range uint64(3) {
		for _, s := range script(id, "open", fmt.Sprintf("> GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", id)) {
			a.Add(s)
		}
	}
	got = nil
	a.End()
	a.End()
	var want notes
	for id := range 3 {
		want = append(want, fmt.Sprintf(`done GET /%d "" broken: some of it was not copied: nobody watched any more before its end`, id),
			fmt.Sprintf("closed %d", id))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// However bytes are cut up, they make the same exchanges, and the same that net/http makes of them.
func FuzzSplitsMakeNoDifference(f *testing.F) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"), []byte(answer), uint64(1))
	f.Add([]byte("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\nX: 1\r\n\r\n"),
		[]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"+answer), uint64(2))
	f.Add([]byte("\r\nPOST / HTTP/1.0\nContent-Length: 2\n\n12POST / HTTP/1.1\r\nHost: h\r\n\r\n"), []byte(answer+answer),
		uint64(3))
	f.Fuzz(func(t *testing.T, client, server []byte, seed uint64) {
		assemble := func(random *rand.Rand) notes {
			var got notes
			a := NewAssembler(got.observer(), 1<<20)
			a.Add(Segment{Kind: Open, Conn: 1})
			for _, side := range []struct {
				kind Kind
				data []byte
			}{{Client, client}, {Server, server}} {
				for data := side.data; len(data) > 0; {
					n := len(data)
					if random != nil {
						n = 1 + random.IntN(min(n, 20))
					}
					a.Add(Segment{Kind: side.kind, Conn: 1, Data: data[:n]})
					data = data[n:]
				}
			}
			a.Add(Segment{Kind: ServerEnd, Conn: 1})
			a.Add(Segment{Kind: Close, Conn: 1})
			return got
		}
		whole, split := assemble(nil), assemble(rand.New(rand.NewPCG(seed, 0)))
		if diff := cmp.Diff(whole, split); diff != "" {
			t.Errorf("what is cut up makes something else (-whole +split):\n%s", diff)
		}
		compareWithNetHTTP(t, client)
	})
}

// compareWithNetHTTP checks requests that net/http can read to their ends.
func compareWithNetHTTP(t *testing.T, client []byte) {
	var want, got []string
	r := bufio.NewReader(bytes.NewReader(client))
	for {
		if b, err := r.Peek(1); err == nil && (b[0] == '\r' || b[0] == '\n') {
			return // it does not pass over those before a request, as servers do
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			break
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			break
		}
		want = append(want, fmt.Sprintf("%s %s %q", req.Method, req.URL, body))
	}
	seen := func(x *Exchange) {
		got = append(got, fmt.Sprintf("%s %s %q", x.Request.Method, x.Request.URL, x.RequestBody.Bytes))
	}
	a := NewAssembler(Observer{Asked: seen}, 1<<20)
	a.Add(Segment{Kind: Open, Conn: 1})
	a.Add(Segment{Kind: Client, Conn: 1, Data: client})
	if len(got) > len(want) {
		return // net/http is stricter about the frames of chunks
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("net/http reads something else (-net/http +wiretap):\n%s", diff)
	}
}
