package cloudwatch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"go.uber.org/goleak"

	"tandem/capture"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		captureUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}

// faults are what a server does wrong. Counts are of requests; zero is never.
type faults struct {
	page       int  // events a page, 10,000 unless set
	empty      int  // empty pages before each page
	throttle   int  // every so many requests are throttled
	repeat     int  // every so many pages are empty, with the token that was asked for
	loop       bool // the last page gives its own token again, for ever
	expire     int  // tokens are refused after they were used by so many requests
	duplicates bool // a page begins with the end of the one before
	disorder   bool // events are up to a second out of order
	broken     int  // every so many requests end with status 500
	slow       time.Duration
}

// A server speaks the part of the CloudWatch Logs API that is used: https://docs.aws.amazon.com/AmazonCloudWatchLogs.
type server struct {
	*httptest.Server
	faults faults
	before func(n int) // is called at the begin of each request, counted from 1

	mu       sync.Mutex
	events   map[string][]entry
	requests int
	pages    int
	failWith string // an error type for all requests from now on
}

// An entry is a log event in the form that the API gives it.
type entry struct {
	EventID       string `json:"eventId"`
	LogStreamName string `json:"logStreamName"`
	Message       string `json:"message"`
	Timestamp     int64  `json:"timestamp"`
	IngestionTime int64  `json:"ingestionTime"`
}

func newServer(t testing.TB, f faults, events ...entry) *server {
	t.Helper()
	s := &server{faults: f, events: map[string][]entry{}}
	s.put("/aws/lambda/f", events...)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// put adds events to a group, with IDs if they have none.
func (s *server) put(group string, events ...entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.events[group]
	for _, e := range events {
		if e.EventID == "" {
			e.EventID = fmt.Sprintf("%s-%056d", group, len(all))
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	s.events[group] = all
}

// client returns a client of s, whose connections end with the test.
func (s *server) client(t testing.TB) *cloudwatchlogs.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return newClient(s.URL, &http.Client{Transport: transport})
}

func newClient(url string, hc *http.Client) *cloudwatchlogs.Client {
	return NewClient(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: hc}, url)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Group     string `json:"logGroupIdentifier"`
		Start     int64  `json:"startTime"`
		End       int64  `json:"endTime"`
		NextToken string `json:"nextToken"`
	}
	if target := r.Header.Get("X-Amz-Target"); target != "Logs_20140328.FilterLogEvents" {
		s.fail(w, http.StatusBadRequest, "UnknownOperationException", target)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.fail(w, http.StatusBadRequest, "SerializationException", err.Error())
		return
	}
	s.mu.Lock()
	s.requests++
	n, before := s.requests, s.before
	s.mu.Unlock()
	if before != nil {
		before(n)
	}
	time.Sleep(s.faults.slow)
	every := func(k int) bool { return k > 0 && n%k == 0 }
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failWith != "":
		s.fail(w, http.StatusBadRequest, s.failWith, "because the test says so")
		return
	case every(s.faults.throttle):
		s.fail(w, http.StatusBadRequest, "ThrottlingException", "Rate exceeded")
		return
	case every(s.faults.broken):
		s.fail(w, http.StatusInternalServerError, "InternalFailure", "")
		return
	}
	all, ok := s.events[in.Group]
	if !ok {
		s.fail(w, http.StatusBadRequest, "ResourceNotFoundException", "The specified log group does not exist.")
		return
	}
	s.page(w, all, in.Start, in.End, in.NextToken)
}

// page answers with a page. A token is "offset/pages of this query/empty pages given".
func (s *server) page(w http.ResponseWriter, all []entry, start, end int64, token string) {
	s.pages++
	offset, used, empty := 0, 0, 0
	if token != "" {
		if _, err := fmt.Sscanf(token, "%d/%d/%d", &offset, &used, &empty); err != nil ||
			s.faults.expire > 0 && used >= s.faults.expire {
			s.fail(w, http.StatusBadRequest, "InvalidParameterException", "The specified nextToken is expired.")
			return
		}
	}
	var matched []entry
	for _, e := range all {
		if e.Timestamp >= start && e.Timestamp <= end {
			matched = append(matched, e)
		}
	}
	size := cmp.Or(s.faults.page, 10_000)
	if s.faults.disorder {
		disorder(matched)
	}
	next := func(offset, empty int) string { return fmt.Sprintf("%d/%d/%d", offset, used+1, empty) }
	switch {
	case empty < s.faults.empty:
		s.answer(w, nil, next(offset, empty+1))
	case s.faults.repeat > 0 && token != "" && s.pages%s.faults.repeat == 0:
		s.answer(w, nil, token)
	case offset+size < len(matched):
		from := offset
		if s.faults.duplicates {
			from = max(0, offset-3)
		}
		s.answer(w, matched[from:offset+size], next(offset+size, 0))
	case s.faults.loop && token != "":
		s.answer(w, matched[min(offset, len(matched)):], token)
	case s.faults.loop:
		s.answer(w, matched[min(offset, len(matched)):], next(len(matched), 0))
	default:
		s.answer(w, matched[min(offset, len(matched)):], "")
	}
}

// disorder swaps neighbours that are less than a second apart.
func disorder(events []entry) {
	for i := 0; i+3 < len(events); i += 2 {
		if events[i+3].Timestamp-events[i].Timestamp < 1000 {
			events[i], events[i+3] = events[i+3], events[i]
		}
	}
}

func (s *server) answer(w http.ResponseWriter, events []entry, token string) {
	if events == nil {
		events = []entry{}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(struct {
		Events    []entry `json:"events"`
		NextToken string  `json:"nextToken,omitempty"`
	}{events, token})
}

func (s *server) fail(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": kind, "message": message})
}

// memory is a sink that keeps what it gets.
type memory struct {
	invs []*capture.Invocation
	lost int64
	fail error
}

func (m *memory) Write(inv *capture.Invocation) error {
	m.invs = append(m.invs, inv)
	return m.fail
}
func (m *memory) Flush() error    { return nil }
func (m *memory) AddLost(n int64) { m.lost += n }

// numbers returns the numbers of the orders in the events that m got.
func (m *memory) numbers(t testing.TB) []int {
	t.Helper()
	var all []int
	for _, inv := range m.invs {
		all = append(all, orderNumber(t, inv))
	}
	slices.Sort(all)
	return all
}

func orderNumber(t testing.TB, inv *capture.Invocation) int {
	t.Helper()
	var event struct{ RawPath string }
	if err := json.Unmarshal(inv.Event, &event); err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(event.RawPath, "/orders/"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// epoch is when logs in tests begin.
var epoch = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC).UnixMilli()

func requestID(n int) string { return fmt.Sprintf("%08x-1234-5678-9abc-def012345678", n) }

func httpEvent(n int) string {
	return fmt.Sprintf(`{"version":"2.0","routeKey":"GET /orders/{id}","rawPath":"/orders/%d","headers":{},`+
		`"requestContext":{"http":{"method":"GET","path":"/orders/%d"},"requestId":"gateway-%d"},"isBase64Encoded":false}`, n, n, n)
}

// traffic makes the logs of n invocations, one every period milliseconds in one of five environments, in the styles of
// several runtimes. Every tenth logs no event. Each takes 1,200 ms, so that they overlap.
func traffic(n int, period int64) (events []entry) {
	for i := range n {
		at, id := epoch+int64(i)*period, requestID(i)
		stream := fmt.Sprintf("2025/06/01/[$LATEST]%032x", i%5)
		stamp := time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z")
		add := func(after int64, text string) {
			events = append(events, entry{LogStreamName: stream, Message: text, Timestamp: at + after})
		}
		event := httpEvent(i)
		if i%10 == 9 {
			event = `"nothing"`
		}
		add(0, "START RequestId: "+id+" Version: $LATEST\n")
		switch i % 4 {
		case 0:
			add(1, stamp+"\t"+id+"\tINFO\tevent "+event+"\n")
		case 1:
			add(1, "[INFO]\t"+stamp+"\t"+id+"\tevent: "+event+"\n")
		case 2:
			add(1, event+"\n")
		case 3:
			add(1, fmt.Sprintf(`{"level":"info","requestId":%q,"msg":%q}`, id, event)+"\n")
		}
		add(2, fmt.Sprintf(`{"statusCode":200,"body":"%d"}`, i)+"\n")
		add(1200, "END RequestId: "+id+"\n")
		add(1200, "REPORT RequestId: "+id+"\tDuration: 1199.50 ms\tBilled Duration: 1200 ms\tMemory Size: 128 MB\tMax Memory Used: 64 MB\t\n")
	}
	return events
}

// wanted are the numbers of the invocations of traffic that log an event.
func wanted(n int) (all []int) {
	for i := range n {
		if i%10 != 9 {
			all = append(all, i)
		}
	}
	return all
}

// options capture function f from the first second to the last of an hour.
func options(t testing.TB, s *server, sink Sink) Options {
	return Options{
		Client: s.client(t), Functions: []Function{{Name: "f"}}, Sink: sink, Rate: 1e6, RetryDelay: time.Microsecond,
		From: time.UnixMilli(epoch), To: time.UnixMilli(epoch).Add(time.Hour), Logf: t.Logf, saveEvery: 1,
	}
}
