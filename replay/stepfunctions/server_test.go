package stepfunctions

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"go.uber.org/goleak"

	"tandem/replay"
	"tandem/replay/follow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	machineARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
	begin      = "arn:aws:states:eu-west-1:123456789012:execution:orders:"
)

// quick is a pace that does not make tests wait.
var quick = follow.Pace{Min: time.Millisecond, Max: time.Millisecond, Missing: 3}

// A server has the part of Step Functions that targets use, as its API reference describes it: AWS JSON 1.0, execution
// names that stand for one execution, and an end that each execution comes to.
type server struct {
	end     document // of every execution: status, output, error, cause
	express bool
	runs    int // how often an execution is said to be running before its end
	// faults are what the first requests of each operation are answered in the place of an answer: an error code, or
	// one of the faults below.
	faults map[string][]string

	mu         sync.Mutex
	executions map[string]*execution // by ARN
	requests   []string              // the operations
	started    []document
	headers    []http.Header
}

const (
	broken      = "broken connection"
	overwhelmed = "503"
	lost        = "worked on, and its answer lost"
)

type document map[string]any

type execution struct {
	input string
	asked int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in document
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		fail(w, http.StatusBadRequest, "SerializationException")
		return
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions.")
	s.requests = append(s.requests, operation)
	s.headers = append(s.headers, r.Header)
	if faults := s.faults[operation]; len(faults) > 0 {
		s.faults[operation] = faults[1:]
		switch fault := faults[0]; fault {
		case "":
		case broken:
			hangUp(w)
			return
		case overwhelmed:
			fail(w, http.StatusServiceUnavailable, "ServiceUnavailable")
			return
		case lost:
			w.Header().Set("Lost", "")
		default:
			fail(w, http.StatusBadRequest, fault)
			return
		}
	}
	code, answer := http.StatusOK, document(nil)
	switch operation {
	case "StartExecution":
		answer = s.start(in)
	case "StartSyncExecution":
		s.started = append(s.started, in)
		answer = s.ended(document{
			"executionArn":   strings.Replace(begin, ":execution:", ":express:", 1) + "x:y",
			"billingDetails": document{"billedDurationInMilliseconds": 100, "billedMemoryUsedInMB": 64},
		})
	case "DescribeExecution":
		answer = s.describe(in)
	}
	if errorCode, ok := answer["__type"].(string); ok {
		fail(w, http.StatusBadRequest, errorCode)
		return
	}
	if _, ok := w.Header()["Lost"]; ok {
		hangUp(w)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document{"__type": "com.amazonaws.swf.service.v2.model#" + code, "message": "as told"})
}

var goodName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

func (s *server) start(in document) document {
	s.started = append(s.started, in)
	name, _ := in["name"].(string)
	if in["name"] == nil {
		name = "made-up"
	}
	input, _ := in["input"].(string)
	switch {
	case in["stateMachineArn"] != machineARN && in["stateMachineArn"] != machineARN+":live":
		return document{"__type": "StateMachineDoesNotExist"}
	case !goodName.MatchString(name):
		return document{"__type": "InvalidName"}
	case !json.Valid([]byte(input)):
		return document{"__type": "InvalidExecutionInput"}
	}
	if e := s.executions[begin+name]; e != nil && (e.input != input || e.asked > s.runs) {
		return document{"__type": "ExecutionAlreadyExists"}
	}
	if s.executions == nil {
		s.executions = make(map[string]*execution)
	}
	if s.executions[begin+name] == nil {
		s.executions[begin+name] = &execution{input: input}
	}
	if s.express {
		return document{"executionArn": strings.Replace(begin, ":execution:", ":express:", 1) + name + ":u", "startDate": 1.7e9}
	}
	return document{"executionArn": begin + name, "startDate": 1.7e9}
}

func (s *server) describe(in document) document {
	arn, _ := in["executionArn"].(string)
	e := s.executions[arn]
	if e == nil {
		return document{"__type": "ExecutionDoesNotExist"}
	}
	if e.asked++; e.asked <= s.runs {
		return document{"executionArn": arn, "stateMachineArn": machineARN, "startDate": 1.7e9, "status": "RUNNING"}
	}
	return s.ended(document{"executionArn": arn, "stateMachineArn": machineARN})
}

func (s *server) ended(answer document) document {
	answer["startDate"], answer["stopDate"] = 1.7e9, 1.7e9+1.5
	for name, value := range s.end {
		answer[name] = value
	}
	return answer
}

// client returns a client of the server, which ends with the test.
func (s *server) client(t *testing.T) *sfn.Client {
	t.Helper()
	client := replay.NewHTTPClient(replay.HTTPOptions{})
	listening := httptest.NewServer(s)
	t.Cleanup(func() {
		client.CloseIdleConnections()
		listening.Close()
	})
	return NewClient(aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "hush", ""), HTTPClient: client,
	}, listening.URL)
}

// lambdaAnswering is a function that answers the Invoke API with payload.
func lambdaAnswering(t *testing.T, payload string) (url string, client *http.Client) {
	t.Helper()
	client = replay.NewHTTPClient(replay.HTTPOptions{})
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, payload)
	}))
	t.Cleanup(func() {
		client.CloseIdleConnections()
		listening.Close()
	})
	return listening.URL, client
}

// seen returns what was asked for and what was started. A handler may outlast the connection that it broke.
func (s *server) seen() (requests []string, started []document) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests), slices.Clone(s.started)
}

func jsonValid(text string) bool { return json.Valid([]byte(text)) }
