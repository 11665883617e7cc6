//go:build unix

package beside

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/wiretap"
)

type discard struct{}

func (discard) Write(*capture.Invocation) error { return nil }

// BenchmarkCall is one call of a function after the other: of the handler itself, and with what is put before it.
func BenchmarkCall(b *testing.B) {
	b.Run("direct", func(b *testing.B) {
		port, err := freePort()
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.CommandContext(b.Context(), filepath.Join(bin, "handler"))
		cmd.Env = []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + port}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		awaitReady(port, nil)
		calls(b, port)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	b.Run("pump", func(b *testing.B) { besideCalls(b, nil) })
	b.Run("recorded", func(b *testing.B) {
		recorder, err := customhandler.NewRecorder(customhandler.RecorderOptions{Sink: discard{}})
		if err != nil {
			b.Fatal(err)
		}
		tap := wiretap.NewTap(0)
		observed := make(chan struct{})
		go func() {
			defer close(observed)
			a := wiretap.NewAssembler(wiretap.Observer{Done: recorder.Done}, 1<<20)
			for s, err := tap.Next(context.Background()); err == nil; s, err = tap.Next(context.Background()) {
				a.Add(s)
			}
		}()
		besideCalls(b, tap)
		tap.Close()
		<-observed
		if s := recorder.Stats(); s.Recorded < int64(b.N) {
			b.Error(s)
		}
	})
}

func besideCalls(b *testing.B, tap *wiretap.Tap) {
	port, err := freePort()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = Run(ctx, Options{
			Command: []string{filepath.Join(bin, "handler")}, Env: []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + port},
			Tap: tap, Ready: func() { close(ready) },
		})
	}()
	<-ready
	calls(b, port)
	cancel()
	<-ended
}

func calls(b *testing.B, port string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	c := customhandler.Client{URL: "http://" + net.JoinHostPort("127.0.0.1", port), HTTP: client}
	payload := bytes.Replace(payload, []byte(`"x"`), []byte(`"`+string(bytes.Repeat([]byte("x"), 2000))+`"`), 1)
	for b.Loop() {
		resp, err := c.Post(b.Context(), "ok", "i", nil, payload)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
