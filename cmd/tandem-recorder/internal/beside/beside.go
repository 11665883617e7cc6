// Package beside runs a custom handler of Azure Functions with a wiretap between it and the host.
//
// The host starts one program, tells it a port and calls it there. That program is the recorder: it starts the
// handler, tells it another port, and passes bytes on between the two. It is in the handler's place in all that the
// host sees: it listens when the handler does, gets its signals, and ends when it ends, with its exit code. When the
// recorder is killed, the handler is killed too, and the host starts both again, as it does when a handler dies.
package beside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/capture/wiretap"
)

// portNames are the variables in which the host tells a handler its port: the second is that of hosts before
// custom handlers had their name.
var portNames = []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"}

const (
	readyPoll = 5 * time.Millisecond
	// drainTime is for what the handler has answered before it ended and is still on its way.
	drainTime = 300 * time.Millisecond
	// outputTime is for what a handler that has ended has written, if it does not go into files.
	outputTime = time.Second
)

// Options say what to run.
type Options struct {
	Command []string // the handler and its arguments
	Env     []string // of this process, with the port that the host gave: the handler's but for that
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Tap     *wiretap.Tap // gets copies of what passes; with nil there are none
	// Ready, if set, is called when the handler can be called.
	Ready func()
}

// Run runs the handler to its end and returns its exit code; one that a signal ended has that of a shell, 128 and the
// signal's number. An error means that it was not started, or that nobody could call it. When ctx ends it is killed.
//
// Signals that end programs, and those for users, are passed on to the handler meanwhile.
func Run(ctx context.Context, opts Options) (exitCode int, err error) {
	port := portOf(opts.Env)
	if port == "" {
		return 0, fmt.Errorf("%s is not set: the Functions host sets it", portNames[0])
	}
	own, err := freePort()
	if err != nil {
		return 0, fmt.Errorf("find a port for the handler: %w", err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, opts.Command[0], opts.Command[1:]...)
	cmd.Env = withPort(opts.Env, own)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = opts.Stdin, opts.Stdout, opts.Stderr
	cmd.SysProcAttr, cmd.WaitDelay = attributes(), outputTime
	// Linux kills a child when the thread that started it ends (https://go.dev/issue/27505).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the handler: %w", err)
	}
	exited := make(chan struct{})
	served := make(chan error, 1)
	go func() { served <- serve(ctx, cancel, port, own, exited, opts) }()
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s) // it may have ended
			case <-exited:
				return
			}
		}
	}()
	waitErr := cmd.Wait()
	close(exited)
	if err := <-served; err != nil {
		return 0, err
	}
	return exitCodeOf(cmd, waitErr)
}

func exitCodeOf(cmd *exec.Cmd, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("wait for the handler: %w", err)
	}
	if s := signalOf(cmd.ProcessState); s != 0 {
		return 128 + s, nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// serve passes on what comes to port from when the handler listens until it has exited. An error kills the handler,
// which nobody can call then.
func serve(ctx context.Context, kill func(), port, own string, exited <-chan struct{}, opts Options) error {
	if !awaitReady(own, exited) {
		return nil
	}
	// Not before: to the host, who accepts a connection is ready.
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		kill()
		return fmt.Errorf("listen for the Functions host: %w", err)
	}
	if opts.Ready != nil {
		opts.Ready()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pump := &wiretap.Pump{Upstream: net.JoinHostPort("127.0.0.1", own), Tap: opts.Tap}
	pumped := make(chan error, 1)
	go func() { pumped <- pump.Serve(ctx, listener) }()
	select {
	case err := <-pumped: // only when ctx has ended, or the listener broke
		kill()
		return err
	case <-exited:
	}
	drained := time.NewTimer(drainTime)
	defer drained.Stop()
	select {
	case <-drained.C:
	case <-ctx.Done():
	}
	stop()
	return <-pumped
}

// awaitReady waits until something accepts connections on port; false means that the handler has exited before.
func awaitReady(port string, exited <-chan struct{}) bool {
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", port), time.Second)
		if err == nil {
			conn.Close()
			return true
		}
		select {
		case <-poll.C:
		case <-exited:
			return false
		}
	}
}

// freePort returns a port that nobody listens on. It is below those that systems give to connections and to listeners
// that take any, 32768 and up on Linux, so that it is not taken before the handler listens on it.
func freePort() (string, error) {
	const lowest, highest, tries = 10_000, 32_767, 20
	for try := 1; ; try++ {
		port := lowest + rand.IntN(highest-lowest+1)
		if try == tries {
			port = 0
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			defer l.Close()
			return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
		}
		if try == tries {
			return "", err
		}
	}
}

// portOf returns the port that env gives to a handler.
func portOf(env []string) string {
	for _, name := range portNames {
		for _, entry := range slices.Backward(env) {
			if value, ok := strings.CutPrefix(entry, name+"="); ok && value != "" {
				return value
			}
		}
	}
	return ""
}

// withPort returns env with another port.
func withPort(env []string, port string) []string {
	changed := make([]string, 0, len(env)+len(portNames))
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if !slices.Contains(portNames, name) {
			changed = append(changed, entry)
		}
	}
	for _, name := range portNames {
		changed = append(changed, name+"="+port)
	}
	return changed
}
