package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// The recorder makes itself known on sockets in Linux's abstract namespace that are named after the Runtime API that
// a runtime was given. They need no disk, they are gone with the process, and they belong to the network namespace,
// as loopback does: who can see the socket can reach the proxy.

// lookupTime is how long the recorder gets to say where it is.
const lookupTime = 500 * time.Millisecond

func socketOf(runtimeAPI string) string { return "@tandem-recorder/" + runtimeAPI }

// publish tells everyone who asks, for one of the addresses given to runtimes, what the proxy's address is, until it
// is closed.
func publish(runtimeAPIs []string, proxy string) (io.Closer, error) {
	p := &publication{}
	for i, api := range runtimeAPIs {
		if i > 0 && api == runtimeAPIs[0] {
			continue
		}
		l, err := net.Listen("unix", socketOf(api))
		if err != nil {
			p.Close() //nolint:errcheck // the first error counts
			return nil, fmt.Errorf("make the recorder known: %w", err)
		}
		p.listeners = append(p.listeners, l)
		served := make(chan struct{})
		p.served = append(p.served, served)
		go func() {
			defer close(served)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintln(conn, proxy) //nolint:errcheck // it was not to know, then
				conn.Close()              //nolint:errcheck // likewise
			}
		}()
	}
	return p, nil
}

type publication struct {
	listeners []net.Listener
	served    []chan struct{}
}

func (p *publication) Close() error {
	var errs []error
	for _, l := range p.listeners {
		errs = append(errs, l.Close())
	}
	for _, served := range p.served {
		<-served
	}
	return errors.Join(errs...)
}

// lookUp asks for the address of the proxy that stands before a Runtime API.
func lookUp(runtimeAPI string) (string, error) {
	conn, err := net.DialTimeout("unix", socketOf(runtimeAPI), lookupTime)
	if err != nil {
		return "", fmt.Errorf("no recorder for the Runtime API at %s: the function runs unrecorded", runtimeAPI)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(lookupTime)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(conn, 1000))
	if err != nil {
		return "", fmt.Errorf("ask the recorder for its address: %w", err)
	}
	address := strings.TrimSpace(string(text))
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", fmt.Errorf("the recorder says that it is at %q", address)
	}
	probe, err := net.DialTimeout("tcp", address, lookupTime)
	if err != nil {
		return "", fmt.Errorf("the recorder does not answer: %w", err)
	}
	return address, probe.Close()
}

// printAddress is for a script that starts a runtime: if it fails, the script leaves the runtime alone.
func printAddress(getenv func(string) string, stdout io.Writer) error {
	address, err := lookUp(getenv("AWS_LAMBDA_RUNTIME_API"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, address)
	return err
}

// internalEnv is set for a recorder that was started by the runtime's script. To Lambda it is an internal extension.
const internalEnv = "TANDEM_INTERNAL"

// startTime is how long a recorder gets to be ready. Lambda gives all of the initialization 10 s.
const startTime = 3 * time.Second

// start is printAddress for an environment whose extension may not have been started, as in images that have only the
// bootstrap. It then starts the recorder, which lives on in the background.
func start(getenv func(string) string, stdout, stderr io.Writer) error {
	if printAddress(getenv, stdout) == nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), internalEnv+"=1")
	cmd.Stderr = stderr
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the recorder: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { ready.Close() })() // ends the copying
	n, err := io.Copy(stdout, ready)
	if err != nil || n == 0 {
		cmd.Process.Kill() //nolint:errcheck // it may be gone already
		return errors.New("start the recorder: it does not get ready")
	}
	return cmd.Process.Release()
}
