//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tandem/capture"
	"tandem/capture/cloudwatch"
	"tandem/capture/logchunk"
)

// A logEntry is a log event as FilterLogEvents gives it.
type logEntry struct {
	ID      string `json:"eventId"`
	Stream  string `json:"logStreamName"`
	Message string `json:"message"`
	At      int64  `json:"timestamp"`
}

// recorderTraffic are invocations whose records have one line, and many.
func recorderTraffic() []string {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[random.IntN(64)]
	}
	return []string{
		`{"n":1}`, `{"do":"log","text":"a line of the function","n":2}`, `{"noise":"` + string(noise) + `"}`,
		`{"do":"fail","text":"no"}`, `{"n":1,"n":1e400,"text":"\ud800"}`, `{"noise":"` + string(noise[1000:]) + `"}`, `[1, 2]`,
	}
}

// runTraffic runs the traffic in an environment of its own, whose requests are numbered from first.
func runTraffic(t *testing.T, sink string, first int) *platform {
	t.Helper()
	p := newPlatform(t, "TANDEM_SINK="+sink)
	p.n = first
	p.startManaged()
	for _, event := range recorderTraffic() {
		p.invoke(event)
	}
	p.shutDown("spindown")
	told(t, p, fmt.Sprintf("%d invocations: %[1]d recorded", len(recorderTraffic())))
	return p
}

// logOf makes the log stream of an environment of what it wrote, in an order that is not that of its lines, with some
// of them twice.
func logOf(p *platform, stream string, first int, random *rand.Rand) []logEntry {
	const begin = 1_750_000_000_000
	var all []logEntry
	put := func(at int64, text string) {
		all = append(all, logEntry{Stream: stream, Message: text, At: begin + at})
	}
	for i := range recorderTraffic() {
		id := fmt.Sprintf("request-%d", first+1+i)
		put(int64(i)*100, "START RequestId: "+id+" Version: $LATEST\n")
		put(int64(i)*100+90, "REPORT RequestId: "+id+"\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t\n")
	}
	for line := range strings.Lines(p.output.String()) {
		put(1000+int64(random.IntN(3000)), line)
		if strings.HasPrefix(line, logchunk.Prefix) && random.IntN(2) == 0 {
			put(1000+int64(random.IntN(3000)), line)
		}
	}
	return all
}

// serveLog answers FilterLogEvents, a few events a page.
func serveLog(t *testing.T, all []logEntry) string {
	t.Helper()
	slices.SortStableFunc(all, func(a, b logEntry) int { return int(a.At - b.At) })
	for i := range all {
		all[i].ID = fmt.Sprintf("%056d", i)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			StartTime, EndTime int64
			NextToken          string
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		from := 0
		fmt.Sscan(in.NextToken, &from) //nolint:errcheck // the first page has none
		var out struct {
			Events    []logEntry `json:"events"`
			NextToken string     `json:"nextToken,omitempty"`
		}
		for i, e := range all {
			if i < from || e.At < in.StartTime || e.At > in.EndTime {
				continue
			}
			if len(out.Events) == 7 {
				out.NextToken = fmt.Sprint(i)
				break
			}
			out.Events = append(out.Events, e)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		json.NewEncoder(w).Encode(out) //nolint:errcheck // the client tells
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// captureLog runs capture cloudwatch over a log and returns what it recorded.
func captureLog(t *testing.T, all []logEntry) ([]*capture.Invocation, *cloudwatch.Completeness) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "logs.rec")
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := cloudwatch.NewClient(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{Transport: transport}}, serveLog(t, all))
	report, err := cloudwatch.Capture(t.Context(), cloudwatch.Options{
		Client: client, Functions: []cloudwatch.Function{{Name: "orders"}}, Rate: 10_000, Sink: w,
		From: time.UnixMilli(1_749_999_999_000), To: time.UnixMilli(1_750_000_100_000),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return recorded(t, path), report.Functions["orders"]
}

func TestWhatGoesThroughTheLogIsWhatAFileHas(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file.rec")
	runTraffic(t, "file:"+file, 0)
	want := recorded(t, file)
	one, other := runTraffic(t, "log:", 0), runTraffic(t, "log:", 100)
	for seed := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, 0))
		all := append(logOf(one, "one", 0, random), logOf(other, "other", 100, random)...)
		got, counts := captureLog(t, all)
		n := len(recorderTraffic())
		if counts.Invocations != int64(2*n) || counts.Events != int64(2*n) || counts.Missing+counts.Open+counts.Gaps != 0 {
			t.Errorf("seed %d: %+v", seed, counts)
		}
		var first []*capture.Invocation
		for _, inv := range got {
			var number int
			if _, err := fmt.Sscanf(inv.Context.RequestID, "request-%d", &number); err != nil {
				t.Fatal(err)
			}
			if number < 100 {
				first = append(first, inv)
			}
		}
		byRequest := func(a, b *capture.Invocation) int { return strings.Compare(a.Context.RequestID, b.Context.RequestID) }
		slices.SortFunc(first, byRequest)
		slices.SortFunc(want, byRequest)
		// Two runs have each their own times and IDs, and the log knows what the platform measured.
		sameBytes := cmp.Comparer(func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) // cmp goes byte by byte
		diff := cmp.Diff(want, first, sameBytes, cmpopts.IgnoreFields(capture.Invocation{}, "ID", "Time", "Source"),
			cmpopts.IgnoreFields(capture.Context{}, "TimeoutMS"),
			cmpopts.IgnoreFields(capture.Outcome{}, "DurationMS", "PlatformMS", "BilledMS", "MemoryMB", "InitMS"))
		if diff != "" {
			t.Errorf("seed %d: of the log (-want +got):\n%s", seed, diff)
		}
	}
}

func TestALineOfTheLogThatIsMissingIsCounted(t *testing.T) {
	t.Parallel()
	p := runTraffic(t, "log:", 0)
	all := logOf(p, "one", 0, rand.New(rand.NewPCG(0, 0)))
	lost := slices.IndexFunc(all, func(e logEntry) bool { return strings.Contains(e.Message, `"part":2,`) })
	if lost < 0 {
		t.Fatal("no record has two lines")
	}
	text := all[lost].Message
	all = slices.DeleteFunc(all, func(e logEntry) bool { return e.Message == text })
	got, counts := captureLog(t, all)
	n := int64(len(recorderTraffic()))
	if counts.Invocations != n || counts.Events != n-1 || counts.Missing != 1 || counts.Gaps != 1 || len(got) != int(n-1) {
		t.Errorf("%d recorded, %+v", len(got), counts)
	}
}
