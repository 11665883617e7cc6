package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/effects"
)

// FunctionsOptions says which app a [Functions] runs, and how.
type FunctionsOptions struct {
	App string // the folder with host.json and */function.json
	// Env are the app's settings, "NAME=value". Of this process's own environment handlers get only what programs
	// need to run, so that they do not reach a cloud by accident. A queue or container whose connection is among the
	// settings, such as AzureWebJobsStorage, is polled.
	Env []string
	// BlobScan is how often containers are looked through; 10 s by default, as the host does.
	BlobScan time.Duration
	// Processes is how many handler processes there are; 1 by default. Each works on one invocation at a time, so
	// this is how many run at once.
	Processes int
	// StartTimeout is how long a handler may take until it listens; 60 s by default, as on Azure.
	StartTimeout time.Duration
	// HTTPTimeout is how long an HTTP client waits for the answer before it gets 502 while the function runs on;
	// 230 s by default, which is what Azure's load balancer waits.
	HTTPTimeout time.Duration
	// These are the access keys; they are made up by default. See [Functions.Keys].
	MasterKey, FunctionKey, SystemKey string
	// Effects, if set, is where the handlers' storage clients are led to. Each process gets a port of its own, and
	// what arrives there while it works on an invocation is kept under the invocation's tag: what the request has in
	// [capture.MarkHeader], else the invocation's ID. The endpoint is served under /tandem/.
	Effects *effects.Server
	// Log gets what the handlers write and the host's own lines, in whole lines, from one goroutine at a time. Nil
	// discards.
	Log io.Writer

	lease time.Duration // of queue messages; [queueLease] by default
}

func (o *FunctionsOptions) fillIn() {
	o.lease = cmp.Or(o.lease, queueLease)
	o.BlobScan = cmp.Or(o.BlobScan, 10*time.Second)
	o.Processes = max(o.Processes, 1)
	o.StartTimeout = cmp.Or(o.StartTimeout, time.Minute)
	o.HTTPTimeout = cmp.Or(o.HTTPTimeout, 230*time.Second)
	if o.Log == nil {
		o.Log = io.Discard
	}
}

// A Functions is an embedded Azure Functions host for one app of custom handlers. Its methods may be called by
// several goroutines at once.
type Functions struct {
	opts   FunctionsOptions
	app    *functionsApp
	keys   Keys
	routes []*azureFunction // the HTTP functions, in the order in which they are tried
	log    hostLog

	free   chan *lease // handlers offer themselves here
	ports  handlerPorts
	outage outage

	handlers     sync.WaitGroup
	stopHandlers context.CancelFunc
	polls        sync.WaitGroup // of queues, Service Bus queues, containers and event hubs
	blobs        *blobTriggers  // nil when there are none
	stopPolls    context.CancelFunc
	queueHTTP    *http.Client
	effectPorts  []*effects.Port

	ctx    context.Context // of the functions that run; ends when Close loses its patience
	cancel context.CancelFunc

	mu      sync.Mutex // guards closed, so that running is not added to while Close waits for it
	closed  bool
	running sync.WaitGroup // invocations
	// background bounds the invocations that POST /admin/functions has started.
	background chan struct{}
}

const (
	maxBackground = 1000
	// drainPatience is how long Close waits for functions that run.
	drainPatience = 10 * time.Second
)

var (
	errFunctionsClosed = errors.New("the Functions host is closed")
	errNoHandler       = errors.New("no handler process can be started")
	errOutOfTime       = errors.New("the function ran out of time")
)

// NewFunctions reads the app, starts its handlers and returns once all of them listen. Ctx bounds the start only.
// Errors about the app name the file, the line where the JSON is broken, and what to do.
func NewFunctions(ctx context.Context, opts FunctionsOptions) (*Functions, error) {
	opts.fillIn()
	app, err := readApp(opts.App, append(os.Environ(), opts.Env...))
	if err != nil {
		return nil, err
	}
	f := &Functions{
		opts: opts, app: app,
		keys:       Keys{Master: opts.MasterKey, Function: opts.FunctionKey, System: opts.SystemKey},
		log:        hostLog{&lineWriter{to: opts.Log}},
		free:       make(chan *lease),
		ports:      handlerPorts{used: make(map[*handler]string)},
		outage:     outage{total: opts.Processes, failed: make(map[*handler]bool), begun: make(chan struct{})},
		background: make(chan struct{}, maxBackground),
		queueHTTP:  &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 32}},
	}
	f.keys.fillIn()
	for _, fn := range app.functions {
		if fn.route != nil && !fn.disabled {
			f.routes = append(f.routes, fn)
		}
	}
	slices.SortStableFunc(f.routes, func(a, b *azureFunction) int {
		return customhandler.CompareRoutes(a.route, b.route)
	})
	pollers, err := f.newPollers()
	if err != nil {
		return nil, err
	}
	hubs, err := f.newHubPollers()
	if err != nil {
		return nil, err
	}
	listeners, err := f.newBusListeners()
	if err != nil {
		return nil, err
	}
	if f.blobs, err = f.newBlobTriggers(); err != nil {
		return nil, err
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if err := f.startHandlers(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var polling context.Context
	polling, f.stopPolls = context.WithCancel(context.Background())
	for _, p := range pollers {
		f.polls.Go(func() { p.poll(polling) })
	}
	for _, p := range hubs {
		f.polls.Go(func() { p.poll(polling) })
	}
	for _, l := range listeners {
		f.polls.Go(func() { l.listen(polling) })
	}
	if f.blobs != nil {
		f.polls.Go(func() { f.blobs.queue.poll(polling) })
		f.polls.Go(func() { f.blobs.scan(polling) })
	}
	return f, nil
}

// startHandlers starts all handlers and waits until each listens or one has failed.
func (f *Functions) startHandlers(ctx context.Context) error {
	run, stop := context.WithCancel(context.Background())
	f.stopHandlers = stop
	first := make(chan error, f.opts.Processes)
	for i := range f.opts.Processes {
		h := &handler{f: f, name: fmt.Sprintf("handler-%d", i+1)}
		if f.opts.Effects != nil {
			port, err := f.opts.Effects.Listen()
			if err != nil {
				return err
			}
			h.port = port
			f.effectPorts = append(f.effectPorts, port)
		}
		f.handlers.Go(func() { h.run(run, first) })
	}
	for range f.opts.Processes {
		select {
		case err := <-first:
			if err != nil {
				return fmt.Errorf("app %s: %s: %w", f.app.dir, strings.Join(f.app.command, " "), err)
			}
		case <-ctx.Done():
			return fmt.Errorf("app %s: start handlers: %w", f.app.dir, ctx.Err())
		}
	}
	return nil
}

// Keys returns the access keys, with those that were made up.
func (f *Functions) Keys() Keys { return f.keys }

// Close stops taking requests and messages, waits up to ten seconds for the functions that run, and ends all
// processes. Messages whose function was not waited for are visible in their queues again. Closing again does nothing.
func (f *Functions) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	if f.stopPolls != nil {
		f.stopPolls()
	}
	patience := time.AfterFunc(drainPatience, f.cancel)
	f.running.Wait()
	patience.Stop()
	f.cancel()
	f.polls.Wait()
	f.queueHTTP.CloseIdleConnections()
	if f.stopHandlers != nil {
		f.stopHandlers()
	}
	f.handlers.Wait()
	var errs []error
	for _, port := range f.effectPorts {
		errs = append(errs, port.Close())
	}
	return errors.Join(errs...)
}

// An invocation is one call of a function.
type invocation struct {
	function string
	id       string
	tag      string // whose effects these are
	accepted bool   // somebody was told that it will run, so Close waits for it
	// send calls the handler at url; ctx ends when the function is out of time.
	send func(ctx context.Context, client *http.Client, url string) (*http.Response, error)
}

// newInvocation returns an invocation of fn for r, which may say whose effects it has. An empty id is made up.
func newInvocation(fn *azureFunction, r *http.Request, id string) *invocation {
	if id == "" {
		id = customhandler.NewInvocationID()
	}
	return &invocation{function: fn.name, id: id, tag: cmp.Or(r.Header.Get(capture.MarkHeader), id)}
}

// invoke calls a function on a free handler and returns its answer, whose body the caller closes. Once it has begun,
// a function runs to its end or its time-out: the end of ctx means only that nobody waits for it any more.
func (f *Functions) invoke(ctx context.Context, inv *invocation) (*http.Response, error) {
	f.mu.Lock()
	if f.closed && !inv.accepted {
		f.mu.Unlock()
		return nil, errFunctionsClosed
	}
	f.running.Add(1)
	f.mu.Unlock()
	l, err := f.acquire(ctx)
	if err != nil {
		f.running.Done()
		return nil, err
	}
	answers := make(chan answer)
	go func() {
		defer f.running.Done()
		f.work(ctx, l, inv, answers)
	}()
	select {
	case a := <-answers:
		return a.resp, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type answer struct {
	resp *http.Response
	err  error
}

// work has l's process do inv and gives what it answers to answers, unless ctx ends before that.
func (f *Functions) work(ctx context.Context, l *lease, inv *invocation, answers chan<- answer) {
	run, cancel := f.ctx, context.CancelFunc(func() {})
	if f.app.timeout > 0 {
		run, cancel = context.WithTimeoutCause(f.ctx, f.app.timeout, errOutOfTime)
	}
	defer cancel()
	if l.port != nil {
		l.port.Begin(inv.tag)
	}
	began := time.Now()
	f.log.printf("Executing 'Functions.%s' (Id=%s)", inv.function, inv.id)
	resp, err := inv.send(run, l.client, l.url)
	if err == nil {
		body := &answerBodyReader{ReadCloser: resp.Body, done: make(chan struct{})}
		resp.Body = body
		select {
		case answers <- answer{resp: resp}:
			<-body.done
		case <-ctx.Done():
			body.Close()
		}
		err = body.err
	} else {
		if run.Err() != nil {
			err = context.Cause(run)
		}
		select {
		case answers <- answer{err: err}:
		case <-ctx.Done():
		}
	}
	if l.port != nil {
		l.port.End()
	}
	l.process.flush() // so that the function's own lines come before the host's
	f.logEnd(inv, began, resp, err)
	l.release(run.Err() != nil || err != nil && l.dying())
}

// logEnd writes the line that the Functions host writes at the end of an invocation.
func (f *Functions) logEnd(inv *invocation, began time.Time, resp *http.Response, err error) {
	result := "Succeeded"
	switch {
	case err != nil:
		f.log.printf("%s: %v", inv.function, err)
		result = "Failed"
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		result = "Failed"
	}
	f.log.printf("Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)",
		inv.function, result, inv.id, time.Since(began).Milliseconds())
}

// acquire waits for a free handler. It fails when ctx ends, and at once when there is none to hope for.
func (f *Functions) acquire(ctx context.Context) (*lease, error) {
	select {
	case l := <-f.free:
		return l, nil
	case <-f.outage.of():
		return nil, errNoHandler
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.ctx.Done():
		return nil, errFunctionsClosed
	}
}

// An answerBodyReader tells when the answer has been read to its end. Closing it reads what is left, because a
// handler whose client goes away may stop half way.
type answerBodyReader struct {
	io.ReadCloser
	done chan struct{} // closed by Close
	err  error         // why the answer could not be read to its end; to be read after done is closed
}

func (b *answerBodyReader) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.err = fmt.Errorf("the answer was cut off: %w", err)
	}
	return n, err
}

// Close must be called once.
func (b *answerBodyReader) Close() error {
	defer close(b.done)
	_, _ = io.Copy(io.Discard, b) // Read keeps the error
	return b.ReadCloser.Close()
}

// An outage is there while no handler runs and each has failed to start.
type outage struct {
	total int

	mu     sync.Mutex
	failed map[*handler]bool
	begun  chan struct{} // closed while the outage lasts
}

// of returns a channel that is closed when, or if, the outage has begun.
func (o *outage) of() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begun
}

// down says that h could not be started.
func (o *outage) down(h *handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.failed[h] {
		o.failed[h] = true
		if len(o.failed) == o.total {
			close(o.begun)
		}
	}
}

// up says that h runs.
func (o *outage) up(h *handler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failed) == o.total {
		o.begun = make(chan struct{})
	}
	delete(o.failed, h)
}
