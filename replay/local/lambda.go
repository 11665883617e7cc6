package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/capture/runtimeapi"
)

// LambdaOptions says which functions a [Lambda] has and how it runs them.
type LambdaOptions struct {
	Functions []LambdaFunction
	// NoQueue has an invocation that finds no free environment refused with 429, as Lambda does. By default it
	// waits for one. Asynchronous invocations always wait.
	NoQueue bool
	// InitTimeout is how long a runtime may take from its start until it asks for its first event; 10 s by default,
	// as on Lambda. There a runtime that takes longer is started once more within the function's own time-out;
	// here the invocation has then failed.
	InitTimeout time.Duration
	// Effects, if set, is where the functions' AWS clients are led to. Each environment gets a port of its own, and
	// what arrives there while it works on an invocation is kept under that invocation's tag: its [capture.Mark] if
	// it has one, else its request ID. Every invocation opens a tag, so take them or bound the server's MaxTags.
	Effects *effects.Server
	// Destination gets the record of each asynchronous invocation that has ended, in JSON, as Lambda sends it to the
	// destinations of success and failure. It is called by several goroutines at once, until Close. Nil for none.
	Destination func(ctx context.Context, record []byte) error
	// Log gets what the functions write and the platform's START, END and REPORT lines, in whole lines. It is
	// called by one goroutine at a time. Nil discards.
	Log io.Writer
}

// A LambdaFunction is one function: a program that speaks the Runtime API.
type LambdaFunction struct {
	// Name is the function's name, or "name:qualifier" for one that only that qualifier reaches.
	Name    string
	Command []string // the program and its arguments
	Dir     string   // its working directory and LAMBDA_TASK_ROOT; by default this process's
	Env     []string // added to the environment that Lambda gives, "KEY=value"
	// Timeout is how long one invocation may take; 3 s by default. Lambda has whole seconds.
	Timeout time.Duration
	// MemoryMB is told to the function and reported; 128 by default. It is not enforced.
	MemoryMB int
	// Concurrency is the most environments at a time; 1 by default. They are started when they are needed.
	Concurrency int
	// Record, if set, gets every invocation that no replay fired. Its Write must be safe for concurrent use.
	Record runtimeapi.Sink
}

// A Lambda is an embedded Lambda platform: environments that run real function binaries, behind the Invoke API.
//
// What it does not do: limit memory or processor time, freeze environments between invocations, serve extensions,
// and wait between the attempts of asynchronous invocations.
//
// All methods may be called by several goroutines at once.
type Lambda struct {
	opts      LambdaOptions
	functions map[string]*lambdaFunction // by Name
	log       *lineWriter

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex // guards closed, so that running is not added to while Close waits for it
	closed bool
	// running counts the invocations that are accepted and not finished.
	running sync.WaitGroup
}

// lambdaFunction is a LambdaFunction with its defaults filled in, and its environments.
type lambdaFunction struct {
	LambdaFunction
	base string // the name without the qualifier
	arn  string // with the qualifier, if the function has one
	pool pool
}

var errLambdaClosed = errors.New("the Lambda platform is closed")

// NewLambda returns a platform with the functions of opts. No process is started before the first invocation. Close
// it when done.
func NewLambda(opts LambdaOptions) (*Lambda, error) {
	if opts.InitTimeout == 0 {
		opts.InitTimeout = 10 * time.Second
	}
	l := &Lambda{
		opts:      opts,
		functions: make(map[string]*lambdaFunction, len(opts.Functions)),
		log:       &lineWriter{to: cmp.Or(opts.Log, io.Discard)},
	}
	for _, f := range opts.Functions {
		if _, twice := l.functions[f.Name]; twice {
			return nil, fmt.Errorf("function %s: it is defined twice", f.Name)
		}
		function, err := newLambdaFunction(f)
		if err != nil {
			return nil, fmt.Errorf("function %q: %w", f.Name, err)
		}
		l.functions[f.Name] = function
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

func newLambdaFunction(f LambdaFunction) (*lambdaFunction, error) {
	ref, err := parseFunctionRef(f.Name, "")
	switch {
	case err != nil || ref.arn() != lambdaARN(f.Name):
		return nil, errors.New("the name must be NAME or NAME:QUALIFIER")
	case len(f.Command) == 0:
		return nil, errors.New("no program to run")
	case f.Timeout < 0 || f.MemoryMB < 0 || f.Concurrency < 0:
		return nil, errors.New("time-out, memory and concurrency cannot be negative")
	}
	// A program that is named by a path is meant relative to here, not to Dir.
	if program := f.Command[0]; filepath.Base(program) != program {
		if program, err = filepath.Abs(program); err != nil {
			return nil, err
		}
		f.Command = append([]string{program}, f.Command[1:]...)
	}
	f.Timeout = cmp.Or(f.Timeout, 3*time.Second)
	f.MemoryMB = cmp.Or(f.MemoryMB, 128)
	f.Concurrency = cmp.Or(f.Concurrency, 1)
	return &lambdaFunction{
		LambdaFunction: f,
		base:           ref.name,
		arn:            lambdaARN(f.Name),
		pool:           pool{spare: f.Concurrency},
	}, nil
}

// A LambdaRequest is one invocation.
type LambdaRequest struct {
	Function  string // a name, "name:qualifier", a partial ARN or an ARN
	Qualifier string // "" or a version or alias, if Function does not have it
	// Payload is the event, in JSON. None at all is taken as {}.
	Payload []byte
	// ClientContext is the value of X-Amz-Client-Context, base64 over a JSON object; "" for none.
	ClientContext string
	TraceID       string // an X-Ray trace header; by default a new one
}

// A LambdaResponse is what became of an invocation.
type LambdaResponse struct {
	RequestID string
	// Payload is the function's answer, or the error document when FunctionError is not empty.
	Payload []byte
	// ContentType is what the runtime said that Payload is; functions that stream HTTP answers are known by it.
	ContentType   string
	FunctionError string // "" or "Unhandled"
	// LogTail is the last 4 KB that was logged for the invocation, from START to REPORT; on a cold start also what
	// was logged before. What the function wrote before it posted its response is in it.
	LogTail  []byte
	Duration time.Duration // from the event's delivery until the runtime was done with it
	Init     time.Duration // how long the environment took to start; 0 for a warm one
}

// A LambdaError is a request that the platform refused without running the function.
type LambdaError struct {
	Status     int    // of HTTP
	Type       string // such as "ResourceNotFoundException"
	Message    string
	Reason     string        // of a throttle
	RetryAfter time.Duration // of a throttle
}

func (e *LambdaError) Error() string { return e.Type + ": " + e.Message }

// Throttled tells whether the function might run if it were tried again later.
func (e *LambdaError) Throttled() bool { return e.Status == http.StatusTooManyRequests }

// maxSyncPayload and maxAsyncPayload are the most that an event may have, in bytes. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
const (
	maxSyncPayload  = 6 << 20
	maxAsyncPayload = 1 << 20
)

// Invoke is [Lambda.Run] for an [Invoker]'s users.
func (l *Lambda) Invoke(ctx context.Context, function string, payload []byte, clientContext string) (
	answer []byte, functionError string, err error,
) {
	resp, err := l.Run(ctx, LambdaRequest{Function: function, Payload: payload, ClientContext: clientContext})
	if err != nil {
		return nil, "", err
	}
	return resp.Payload, resp.FunctionError, nil
}

// Run runs a function and waits for its answer; a function that failed is an answer. The error is a [*LambdaError]
// when the request was refused, ctx's when ctx has ended, and another one when the platform is closed.
//
// When ctx ends while the invocation waits for an environment, it leaves the queue. When it ends later, the function
// runs on to its end and its answer is thrown away.
func (l *Lambda) Run(ctx context.Context, req LambdaRequest) (*LambdaResponse, error) {
	job, err := l.accept(req, "RequestResponse", maxSyncPayload)
	if err != nil {
		return nil, err
	}
	env, err := job.function.pool.acquire(ctx, l.ctx, !l.opts.NoQueue)
	if err != nil {
		l.running.Done()
		return nil, err
	}
	done := make(chan jobResult, 1)
	go func() {
		defer l.running.Done()
		done <- l.run(job, env)
	}()
	select {
	case result := <-done:
		return result.response, result.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// maxAttempts is how often an asynchronous invocation is tried whose function fails. Lambda waits for a minute before
// the second attempt and for two before the third; here there is no wait. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html.
const maxAttempts = 3

// RunLater queues an invocation, which runs once an environment is free, and again, up to three times in all, if
// the function fails. As on Lambda the function gets no client context. What became of it in the end goes to the
// destination. What is queued when the platform is closed is lost. The error is a [*LambdaError], unless the platform
// is closed.
func (l *Lambda) RunLater(req LambdaRequest) (requestID string, err error) {
	job, err := l.accept(req, "Event", maxAsyncPayload)
	if err != nil {
		return "", err
	}
	job.request.ClientContext = nil
	go func() {
		defer l.running.Done()
		for attempt := 1; ; attempt++ {
			env, err := job.function.pool.acquire(l.ctx, l.ctx, true)
			if err != nil {
				return
			}
			result := l.run(job, env)
			if result.err != nil {
				return
			}
			if result.response.FunctionError == "" || attempt == maxAttempts {
				l.sendRecord(job, result.response, attempt)
				return
			}
		}
	}()
	return job.request.ID, nil
}

// Check tells whether Run would run req's function, without doing so. The error is a [*LambdaError].
func (l *Lambda) Check(req LambdaRequest) error {
	_, err := l.newJob(req, "DryRun", maxSyncPayload)
	return err
}

// job is an accepted invocation.
type job struct {
	function *lambdaFunction
	request  runtimeapi.Request // without the deadline
	tag      string             // that its effects are kept under
}

// accept makes a job of req and counts it as running.
func (l *Lambda) accept(req LambdaRequest, invocationType string, maxPayload int) (*job, error) {
	job, err := l.newJob(req, invocationType, maxPayload)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errLambdaClosed
	}
	l.running.Add(1)
	return job, nil
}

func (l *Lambda) newJob(req LambdaRequest, invocationType string, maxPayload int) (*job, error) {
	function, err := l.find(req.Function, req.Qualifier)
	if err != nil {
		return nil, err
	}
	if len(req.Payload) > maxPayload {
		return nil, payloadTooLarge(int64(len(req.Payload)), invocationType, maxPayload)
	}
	event := req.Payload
	if len(bytes.TrimSpace(event)) == 0 {
		event = []byte("{}")
	}
	if err := checkJSON(event); err != nil {
		return nil, err
	}
	clientContext, err := decodeClientContext(req.ClientContext)
	if err != nil {
		return nil, err
	}
	j := &job{
		function: function,
		request: runtimeapi.Request{
			ID:            newRequestID(),
			FunctionARN:   function.arn,
			TraceID:       cmp.Or(req.TraceID, newTraceID()),
			ClientContext: clientContext,
			Event:         event,
		},
	}
	j.tag = j.request.ID
	if mark, ok := capture.MarkFromClientContext(clientContext); ok {
		j.tag = mark.String()
	}
	return j, nil
}

// find returns the function that a name and a qualifier mean.
func (l *Lambda) find(name, qualifier string) (*lambdaFunction, error) {
	ref, err := parseFunctionRef(name, qualifier)
	if err != nil {
		return nil, err
	}
	if ref.qualifier != "" {
		if f, ok := l.functions[ref.name+":"+ref.qualifier]; ok {
			return f, nil
		}
	}
	if f, ok := l.functions[ref.name]; ok && (ref.qualifier == "" || ref.qualifier == "$LATEST") {
		return f, nil
	}
	return nil, &LambdaError{
		Status: http.StatusNotFound, Type: "ResourceNotFoundException",
		Message: "Function not found: " + ref.arn(),
	}
}

// Close kills all environments, and fails the invocations under way. When it returns, no process and no goroutine of
// the platform is left.
func (l *Lambda) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.running.Wait()
	var errs []error
	for _, f := range l.functions {
		for _, env := range f.pool.drain() {
			errs = append(errs, env.close())
		}
	}
	return errors.Join(errs...)
}
