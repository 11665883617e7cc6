package completion

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/collector"
	"tandem/capture/customhandler"
)

// started opens and runs a source until the test ends.
func started(t *testing.T, b *Board, s Source) *Group {
	t.Helper()
	g, err := Start(t.Context(), b, func(err error) { t.Error(err) }, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g
}

// poster is a client as tandem-recorder has it.
func poster(t *testing.T, address, token string, transport *http.Transport) *collector.Client {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &collector.Client{URL: u, Token: token, Instance: "one", HTTP: &http.Client{Transport: transport}}
}

func carried(id string, c customhandler.Completion) *capture.Invocation {
	inv := c.Carrier()
	inv.ID = id
	return inv
}

func done(subject customhandler.Subject) customhandler.Completion {
	return customhandler.Completion{
		Function: "f", Invocation: "i", Time: time.Unix(1, 0), About: []customhandler.Subject{subject}, Attempt: 1,
		Outcome: &capture.Outcome{Status: capture.StatusOK, DurationMS: 5},
	}
}

func TestWhatARecorderPostsIsToldOnceAndAcknowledged(t *testing.T) {
	b := NewBoard()
	r := NewRecorder(RecorderOptions{Listen: "127.0.0.1:0", Token: "s3cret"})
	started(t, b, r)
	client := poster(t, r.URL(), "s3cret", &http.Transport{})
	blob := &customhandler.UploadedBlob{Container: "c", Name: "a/b.csv", ETag: "0x8"}
	batch := []*capture.Invocation{
		carried("1", done(customhandler.Subject{Message: "m"})), carried("2", done(customhandler.Subject{Event: "e"})),
		carried("3", done(customhandler.Subject{Blob: blob})),
	}
	w := b.Expect(Message("m"), Event("e"), Blob("c", "a/b.csv", "0x8"))
	defer w.Close()
	for range 3 { // a batch whose acknowledgment was lost is posted again
		if err := client.Send(t.Context(), batch, 7); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []Key{Message("m"), Event("e"), Blob("c", "a/b.csv", "0x8")} {
		got := w.Reports(k)
		if len(got) != 1 || got[0].Source != "recorder" || got[0].Attempt != 1 || got[0].Invocation != "i" ||
			got[0].Outcome.DurationMS != 5 {
			t.Errorf("%s: %+v", k, got)
		}
	}
	if s := b.Stats(); s.Reports != 3 || s.Lost != 7 {
		t.Errorf("%+v", s)
	}
	if s := r.Stats(); s.Duplicates != 6 {
		t.Errorf("%+v", s)
	}
}

func TestAnAppOfManyThingsAtOnceReportsEach(t *testing.T) {
	b := NewBoard()
	r := NewRecorder(RecorderOptions{Listen: "127.0.0.1:0"})
	started(t, b, r)
	c := done(customhandler.Subject{Message: "1"})
	c.About = append(c.About, customhandler.Subject{}, customhandler.Subject{Message: "2"})
	if err := poster(t, r.URL(), "", &http.Transport{}).Send(t.Context(), []*capture.Invocation{carried("1", c)}, 0); err != nil {
		t.Fatal(err)
	}
	w := b.Expect(Message("1"), Message("2"))
	if len(w.Reports(Message("1"))) != 1 || len(w.Reports(Message("2"))) != 1 || b.Stats().Reports != 2 {
		t.Errorf("%+v", b.Stats())
	}
}

// Nothing that nobody may post gets to the board, and a recorder that means to record is not told that this worked.
func TestWhatIsNoCompletionIsRefused(t *testing.T) {
	b := NewBoard()
	r := NewRecorder(RecorderOptions{Listen: "127.0.0.1:0", Token: "s3cret"})
	started(t, b, r)
	good := carried("1", done(customhandler.Subject{Message: "m"}))
	recorded := &capture.Invocation{ID: "2", Function: "f", Trigger: "sqs", Format: "sqs", Event: []byte(`{}`)}
	for name, post := range map[string]struct {
		token string
		batch []*capture.Invocation
		final bool
	}{
		"a wrong token":           {"other", []*capture.Invocation{good}, false},
		"no token":                {"", []*capture.Invocation{good}, false},
		"a line of a recording":   {"s3cret", []*capture.Invocation{good, recorded}, true},
		"one that has no outcome": {"s3cret", []*capture.Invocation{{ID: "3", Function: "f", Format: good.Format, Event: good.Event}}, true},
	} {
		err := poster(t, r.URL(), post.token, &http.Transport{}).Send(t.Context(), post.batch, 0)
		if err == nil || errors.Is(err, collector.ErrRefused) != post.final {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := b.Stats(); s.Reports != 0 {
		t.Errorf("%+v", s)
	}
	if err := poster(t, r.URL(), "s3cret", &http.Transport{}).Send(t.Context(), []*capture.Invocation{good}, 0); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

// Nobody has to wait for the replay to be ready: what is posted once the address is taken is not lost.
func TestWhatIsPostedBeforeItRunsIsHeard(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	defer server.Close()
	r := NewRecorder(RecorderOptions{Listen: "127.0.0.1:0", TLS: &tls.Config{Certificates: server.TLS.Certificates}})
	if err := r.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.URL(), "https://") || !strings.HasPrefix(r.Name(), "recorder at 127.0.0.1:") {
		t.Errorf("%s, %s", r.URL(), r.Name())
	}
	transport := server.Client().Transport.(*http.Transport).Clone()
	posted := make(chan error, 1)
	client := poster(t, r.URL(), "", transport)
	batch := []*capture.Invocation{carried("1", done(customhandler.Subject{Message: "m"}))}
	go func() { posted <- client.Send(t.Context(), batch, 0) }()
	b := NewBoard()
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx, b) }()
	if err := <-posted; err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if b.Stats().Reports != 1 {
		t.Error("not heard")
	}
}

// A dying is a source that ends early.
type dying struct {
	Source
	closed bool
	cause  error
}

func (d *dying) Name() string               { return "the dying" }
func (d *dying) Open(context.Context) error { return nil }
func (d *dying) Run(ctx context.Context, _ *Board) error {
	d.closed = ctx.Err() != nil
	return d.cause
}

func TestASourceThatDiesIsTold(t *testing.T) {
	told := make(chan error, 1)
	d := &dying{cause: errors.New("no more")}
	g, err := Start(t.Context(), NewBoard(), func(err error) { told <- err }, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, d.cause) || !errors.Is(g.Failure(d), d.cause) {
		t.Errorf("%v", err)
	}
	g.Stop()
}

func TestASourceThatCannotBeOpenedLeavesNoneOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	first, d := NewRecorder(RecorderOptions{Listen: "127.0.0.1:0"}), &dying{}
	_, err = Start(t.Context(), NewBoard(), nil, first, d, NewRecorder(RecorderOptions{Listen: taken.Addr().String()}))
	if err == nil || !d.closed {
		t.Errorf("%v, closed: %v", err, d.closed)
	}
	if again, err := net.Listen("tcp", first.listener.Addr().String()); err != nil {
		t.Errorf("the first still listens: %v", err)
	} else {
		again.Close()
	}
}
