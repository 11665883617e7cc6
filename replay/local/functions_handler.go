package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"tandem/capture/effects"
)

const (
	readyPoll      = 5 * time.Millisecond
	firstBackoff   = 100 * time.Millisecond // before the second restart in a row
	longestBackoff = 5 * time.Second
	steadyTime     = 10 * time.Second // a process that lived for so long is not in a crash loop
	dyingTime      = 100 * time.Millisecond
)

// A handler is one handler process after the other, in one place: the next is started when one has died.
type handler struct {
	f    *Functions
	name string
	port *effects.Port // nil when effects are not watched

	// Of the process that runs:
	process *process
	output  *handlerLog
	url     string // "" before it listens
	client  *http.Client
	calls   int // invocations that it has answered
}

// A lease gives one invocation a handler for itself. Exactly one release ends it.
type lease struct {
	*handler
	released chan bool
}

// release gives the handler back. Replace says that its process must not go on.
func (l *lease) release(replace bool) { l.released <- replace }

// run keeps a process running and offers it to invocations until ctx ends. First gets how the first start went.
func (h *handler) run(ctx context.Context, first chan<- error) {
	deaths := 0 // in a row
	for {
		began := time.Now()
		err := h.start(ctx)
		if first != nil {
			first <- err
			if err != nil {
				return
			}
			first = nil
		}
		if err == nil {
			h.f.outage.up(h)
			err = h.serve(ctx)
			h.stop()
		}
		if ctx.Err() != nil {
			return
		}
		h.f.log.printf("%s: %v", h.name, err)
		if deaths++; h.calls > 1 || time.Since(began) > steadyTime {
			deaths = 1 // it worked before it died
		}
		if h.url == "" {
			h.f.outage.down(h)
		}
		if !wait(ctx, backoff(deaths)) {
			return
		}
	}
}

// backoff is the pause before the nth start in a row: none for the first.
func backoff(deaths int) time.Duration {
	if deaths <= 1 {
		return 0
	}
	return min(firstBackoff<<min(deaths-2, 10), longestBackoff)
}

// wait waits for d; false means that ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// start starts a process and waits until it listens. On an error none is left.
func (h *handler) start(ctx context.Context) error {
	h.url, h.calls = "", 0
	port, err := h.f.ports.take(h)
	if err != nil {
		return err
	}
	h.output = h.f.log.prefixed(h.name)
	h.process, err = startProcess(processSpec{
		Command: h.f.app.command, Dir: h.f.app.workDir, Env: h.env(port), Output: h.output,
	})
	if err != nil {
		return fmt.Errorf("start handler: %w", err)
	}
	if err := h.awaitReady(ctx, port); err != nil {
		h.process.kill()
		h.output.end()
		return err
	}
	h.url = "http://127.0.0.1:" + port
	h.client = newHandlerClient()
	return nil
}

// awaitReady waits until something accepts connections on port.
func (h *handler) awaitReady(ctx context.Context, port string) error {
	timeout := time.NewTimer(h.f.opts.StartTimeout)
	defer timeout.Stop()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		select {
		case <-h.process.exited:
			return fmt.Errorf("the handler ended before it listened on FUNCTIONS_CUSTOMHANDLER_PORT: %s", h.ending())
		case <-timeout.C:
			return fmt.Errorf("the handler does not listen on FUNCTIONS_CUSTOMHANDLER_PORT after %v", h.f.opts.StartTimeout)
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
			if listens(port) {
				return nil
			}
		}
	}
}

// serve offers the process to invocations until it has died or must be replaced; the error says why.
func (h *handler) serve(ctx context.Context) error {
	for {
		l := &lease{h, make(chan bool)}
		select {
		case <-h.process.exited:
			return fmt.Errorf("the handler died: %s", h.ending())
		case <-ctx.Done():
			return ctx.Err()
		case h.f.free <- l:
			replace := <-l.released
			h.calls++
			if replace {
				return errors.New("the handler is replaced: it ran out of time or broke off")
			}
		}
	}
}

// stop ends the process, if it has not ended itself.
func (h *handler) stop() {
	h.client.CloseIdleConnections()
	h.process.kill()
	h.output.end()
}

// dying tells whether a process that broke off a connection is about to end, and not just impolite.
func (h *handler) dying() bool {
	timer := time.NewTimer(dyingTime)
	defer timer.Stop()
	select {
	case <-h.process.exited:
		return true
	case <-timer.C:
		_, port, err := net.SplitHostPort(h.url[len("http://"):])
		return err != nil || !listens(port)
	}
}

func (h *handler) ending() string {
	if text := h.process.exitText(); text != "" {
		return text
	}
	return "exit status 0"
}

// env is the environment of the process: what Azure sets, then the app's settings, then what this host depends on.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-app-settings.
func (h *handler) env(port string) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	env = append(env,
		"FUNCTIONS_WORKER_RUNTIME=custom",
		"FUNCTIONS_EXTENSION_VERSION=~4",
		"AZURE_FUNCTIONS_ENVIRONMENT=Development",
		"AzureWebJobsScriptRoot="+h.f.app.dir,
		"FUNCTIONS_APPLICATION_DIRECTORY="+h.f.app.dir,
		"WEBSITE_SITE_NAME="+filepath.Base(h.f.app.dir),
		"WEBSITE_INSTANCE_ID="+h.name,
		"TZ=UTC",
	)
	env = append(env, h.f.opts.Env...)
	if h.port != nil {
		env = append(env, h.port.AzureEnv()...)
	}
	return append(env, "FUNCTIONS_CUSTOMHANDLER_PORT="+port, "FUNCTIONS_HTTPWORKER_PORT="+port)
}

// newHandlerClient returns a client that gives up idle connections before the usual servers do (Node: 5 s).
func newHandlerClient() *http.Client {
	transport := &http.Transport{
		DisableCompression: true, // bodies pass as they are
		IdleConnTimeout:    2 * time.Second,
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func listens(port string) bool {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// handlerPorts are the ports that handlers were told to listen on, so that no two share one.
type handlerPorts struct {
	mu   sync.Mutex
	used map[*handler]string
}

// take finds h a port that nobody listens on now, in the place of the one that it had.
func (p *handlerPorts) take(h *handler) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, h)
	for {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		if !slices.Contains(slices.Collect(maps.Values(p.used)), port) {
			p.used[h] = port
			return port, nil
		}
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port for the handler: %w", err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}
