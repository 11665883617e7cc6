package completion

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"tandem/capture"
	"tandem/capture/collector"
	"tandem/capture/customhandler"
)

// recorderName is what the reports of a [Recorder] call their source.
const recorderName = "recorder"

// shutdownPatience is how long posts in flight may take once a Recorder is to end.
const shutdownPatience = 5 * time.Second

// RecorderOptions say where a Recorder listens.
type RecorderOptions struct {
	Listen string      // host:port; port 0 for any
	Token  string      // that recorders must know; "" lets all in
	TLS    *tls.Config // nil for plain HTTP
}

// A Recorder is the source that recorders beside the handlers of a Functions app post to: TANDEM_COMPLETIONS there is
// its URL. It sees what the handler answered, with the platform's number of the delivery. What the host makes of the
// answer it does not see: see [Report.Open].
//
// It acknowledges what the board has been told, so that recorders try again until then; what they post twice is told
// once.
type Recorder struct {
	opts     RecorderOptions
	listener net.Listener
	board    recorderBoard
	server   *collector.Server
}

// NewRecorder returns a source that listens once it is opened.
func NewRecorder(opts RecorderOptions) *Recorder {
	r := &Recorder{opts: opts}
	r.server = collector.NewServer(collector.Options{
		Sink: &r.board, Token: opts.Token,
		Refuse: func(inv *capture.Invocation) error {
			_, err := customhandler.ReadCompletion(inv)
			return err
		},
	})
	return r
}

// Name says where it listens, once it does.
func (r *Recorder) Name() string {
	if r.listener != nil {
		return recorderName + " at " + r.listener.Addr().String()
	}
	return recorderName + " at " + r.opts.Listen
}

// URL is what TANDEM_COMPLETIONS is on this machine. It is to be called after Open.
func (r *Recorder) URL() string {
	scheme := "http://"
	if r.opts.TLS != nil {
		scheme = "https://"
	}
	return scheme + r.listener.Addr().String()
}

// Stats returns what was posted so far. Refused posts are those with a wrong token, or of what is no completion.
func (r *Recorder) Stats() collector.Stats { return r.server.Stats() }

// Open listens. What is posted waits until Run.
func (r *Recorder) Open(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", r.opts.Listen)
	if err != nil {
		return fmt.Errorf("listen for completions: %w", err)
	}
	if r.opts.TLS != nil {
		l = tls.NewListener(l, r.opts.TLS)
	}
	r.listener = l
	return nil
}

// Run serves until ctx ends; see [Source].
func (r *Recorder) Run(ctx context.Context, b *Board) error {
	r.board.Board = b
	server := &http.Server{Handler: r.server, ReadHeaderTimeout: 30 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(r.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("listen for completions: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
	defer cancel()
	if server.Shutdown(ending) != nil {
		server.Close() //nolint:errcheck // it ends what is left
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen for completions: %w", err)
	}
	return nil
}

// A recorderBoard is the sink of what recorders post.
type recorderBoard struct{ *Board }

// Write brings a completion to the board.
func (b *recorderBoard) Write(inv *capture.Invocation) error {
	c, err := customhandler.ReadCompletion(inv)
	if err != nil {
		return err
	}
	for _, subject := range c.About {
		var k Key
		switch {
		case subject.Message != "":
			k = Message(subject.Message)
		case subject.Event != "":
			k = Event(subject.Event)
		case subject.Blob != nil:
			k = Blob(subject.Blob.Container, subject.Blob.Name, subject.Blob.ETag)
		default:
			continue
		}
		b.Report(Report{
			Key: k, Source: recorderName, Attempt: c.Attempt, Invocation: c.Invocation, Outcome: c.Outcome, Open: c.Open,
			Time: c.Time,
		})
	}
	return nil
}

// Sync does nothing: what the board was told is of use to this process alone.
func (b *recorderBoard) Sync() error { return nil }

// AddLost counts what a recorder has lost.
func (b *recorderBoard) AddLost(n int64) { b.Lost(n) }
