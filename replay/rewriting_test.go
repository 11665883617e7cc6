package replay_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/functions"
	"tandem/replay/rewrite"
)

// received keeps what was sent to a server's paths.
type received struct {
	mu     sync.Mutex
	bodies map[string][]string
}

func (r *received) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	root, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	r.bodies[root] = append(r.bodies[root], string(body))
}

func text(s string) *string { return &s }

func TestOneTargetIsSentWhatItsRulesMakeAndTheOtherWhatWasRecorded(t *testing.T) {
	list := orders(3)
	newest := time.Now().Add(-90 * time.Hour).Truncate(time.Second)
	for i, inv := range list {
		inv.Time = newest.Add(-time.Duration(i) * time.Minute)
		inv.Event = fmt.Appendf(nil, `{"version":"2.0","rawPath":"/x","headers":{},"requestContext":{"http":{"method":"POST"}},`+
			`"body":"{\"id\":\"ord_%d\",\"at\":%d,\"left\":\"\\u00e9\"}"}`, i, inv.Time.Unix())
	}
	got := &received{bodies: make(map[string][]string)}
	opts := optionsFor(t, writeRecording(t, list...), got.ServeHTTP)
	opts.InFlight = 1
	opts.Targets["create-order"][1].Rewrite = []rewrite.Change{
		{At: "/body/id", Namespace: true}, {At: "/body/at", ShiftTime: true}, {Header: "x-none", Set: text("s3cret")},
	}
	f, err := replay.Foresee(t.Context(), opts)
	if err != nil || len(f.Functions[0].Targets[1].Rewrite) != 3 {
		t.Errorf("foreseen %+v, %v; want the three rules", f, err)
	}
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if since := time.Since(newest.Add(time.Duration(m.ShiftSeconds) * time.Second)); since < 0 || since > time.Minute {
		t.Errorf("times are shifted by %d s, which makes the newest %v old", m.ShiftSeconds, since)
	}
	for i, inv := range list {
		if want := fmt.Sprintf(`{"id":"ord_%d","at":%d,"left":"\u00e9"}`, i, inv.Time.Unix()); got.bodies["a"][i] != want {
			t.Errorf("lambda was sent %s, want it as recorded: %s", got.bodies["a"][i], want)
		}
		want := fmt.Sprintf(`{"id":"ord_%d-%s","at":%d,"left":"\u00e9"}`, i, strings.ToLower(m.ID[18:]),
			inv.Time.Unix()+m.ShiftSeconds)
		if got.bodies["b"][i] != want {
			t.Errorf("functions was sent %s, want %s", got.bodies["b"][i], want)
		}
	}
	want := []replay.RewriteRef{{At: "/body/id", How: "namespace", Values: 3}, {At: "/body/at", How: "shift-time", Values: 3},
		{At: "header x-none", How: "set"}}
	if refs := m.Targets[1].Rewrite; fmt.Sprint(refs) != fmt.Sprint(want) || m.Targets[0].Rewrite != nil {
		t.Errorf("the manifest tells of %+v and %+v, want %+v", m.Targets[0].Rewrite, refs, want)
	}
	trials, _ := readRun(t, opts.Dir)
	if trials["i0"].Shape != list[0].Shape() {
		t.Errorf("the trial has the shape %s, want that of what was recorded", trials["i0"].Shape)
	}
}

func TestAResumedRunRewritesAlike(t *testing.T) {
	list := orders(4)
	for i, inv := range list {
		inv.Time = time.Now().Add(-time.Duration(50+i) * time.Hour)
		inv.Event = []byte(`{"version":"2.0","rawPath":"/x","headers":{},"requestContext":{"http":{"method":"POST"}},"body":"ord"}`)
	}
	firing, stop := context.WithCancel(t.Context())
	got := &received{bodies: make(map[string][]string)}
	opts := optionsFor(t, writeRecording(t, list...), func(w http.ResponseWriter, r *http.Request) {
		got.ServeHTTP(w, r)
		stop() // after the first
	})
	opts.InFlight = 1
	for i := range opts.Targets["create-order"] {
		opts.Targets["create-order"][i].Rewrite = []rewrite.Change{{At: "/body", Namespace: true}, {At: "/t", ShiftTime: true}}
	}
	first, err := replay.Run(t.Context(), firing, opts)
	if err != nil || first.Complete {
		t.Fatalf("the first session: %v, %+v", err, first)
	}
	opts.Resume = true
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil || !m.Complete || m.ShiftSeconds != first.ShiftSeconds || m.ID != first.ID {
		t.Fatalf("resumed: %v, %+v", err, m)
	}
	for _, side := range []string{"a", "b"} { // equal IDs stay equal at both targets, too
		if n := len(got.bodies[side]); n != len(list) {
			t.Errorf("%d requests to %s, want %d", n, side, len(list))
		}
		for _, body := range got.bodies[side] {
			if body != "ord-"+strings.ToLower(m.ID[18:]) {
				t.Errorf("%s was sent %s, which is not the run's", side, body)
			}
		}
	}
}

// A verifier is a function that answers 401 to what it would not believe.
func verifier(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte("h00k"))
	mac.Write(body)
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims := new(jwt.RegisteredClaims)
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return []byte("t0ken"), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer("https://stg.example"))
	switch {
	case r.Header.Get("X-Hub-Signature-256") != fmt.Sprintf("sha256=%x", mac.Sum(nil)):
		http.Error(w, "signature", http.StatusUnauthorized)
	case err != nil:
		http.Error(w, err.Error(), http.StatusUnauthorized)
	default:
		fmt.Fprint(w, claims.Subject)
	}
}

func TestAFunctionBelievesWhatIsSignedAnewAndNoKeyIsTold(t *testing.T) {
	list := orders(3)
	at := time.Now().Add(-90 * time.Hour).Truncate(time.Second)
	for i, inv := range list {
		inv.Time = at
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iss": "https://prod.example", "sub": fmt.Sprintf("u%d", i), "exp": at.Add(time.Hour).Unix(),
		}).SignedString([]byte("production's"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			token = "redacted-0123456789abcdef"
		}
		inv.Event = fmt.Appendf(nil, `{"version":"2.0","rawPath":"/x","headers":{"authorization":"Bearer %s","x-hub-signature-256":"sha256=00"},`+
			`"requestContext":{"http":{"method":"POST"}},"body":"{\"at\":%d}"}`, token, at.Unix())
	}
	opts := optionsFor(t, writeRecording(t, list...), verifier)
	opts.Targets["create-order"][1].Rewrite = []rewrite.Change{
		{Signing: rewrite.Signing{Sign: "github", Key: rewrite.Key{Key: "h00k"}}},
		{At: "/body/at", Set: text("1")},
		{Header: "authorization", JWT: &rewrite.Token{
			Key: rewrite.Key{Key: "t0ken"}, Alg: "HS256", ShiftTime: true, Set: map[string]any{"iss": "https://stg.example"},
		}},
	}
	want := []replay.RewriteRef{{At: "sign github", How: "sign", Values: 3}, {At: "/body/at", How: "set", Values: 3},
		{At: "header authorization", How: "jwt", Values: 2, Unsigned: 1}}
	f, err := replay.Foresee(t.Context(), opts)
	if err != nil || fmt.Sprint(f.Functions[0].Targets[1].Rewrite) != fmt.Sprint(want) {
		t.Errorf("foreseen %+v, %v; want %+v", f, err, want)
	}
	m, err := replay.Run(t.Context(), t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if refs := m.Targets[1].Rewrite; fmt.Sprint(refs) != fmt.Sprint(want) {
		t.Errorf("the manifest tells of %+v, want %+v", refs, want)
	}
	trials, _ := readRun(t, opts.Dir)
	for id, status := range map[string]int{"i0": 200, "i1": 200, "i2": 401} {
		if out := trials[id].Outcomes["functions"]; out.HTTP == nil || out.HTTP.Status != status {
			t.Errorf("%s: %+v %+v, want %d", id, out, out.HTTP, status)
		}
		if out := trials[id].Outcomes["lambda"]; out.HTTP == nil || out.HTTP.Status != 401 {
			t.Errorf("%s: what was recorded is believed: %+v", id, out)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(opts.Dir, "manifest.json"))
	if err != nil || bytes.Contains(manifest, []byte("h00k")) || bytes.Contains(manifest, []byte("t0ken")) {
		t.Errorf("the manifest has a key: %s, %v", manifest, err)
	}
}

func TestFatesAndPinnedObjectsHaveTheNamesThatWereRecorded(t *testing.T) {
	list := orders(2)
	list[0].Event = []byte(`{"Records":[{"messageId":"m1","body":"1","eventSource":"aws:sqs","eventSourceARN":"arn:q"},` +
		`{"messageId":"m2","body":"2","eventSource":"aws:sqs","eventSourceARN":"arn:q"}]}`)
	list[1].Event = []byte(`{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":"2026-01-02T03:04:05Z",` +
		`"s3":{"bucket":{"name":"orders"},"object":{"key":"a+b"}}}]}`)
	list[1].Objects = []capture.Object{{Bucket: "orders", Key: "a b", SHA256: strings.Repeat("0", 64)}}
	url, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"Outputs":{},"Logs":[],"ReturnValue":null}`)
	})
	handler, err := functions.NewHandler(functions.HandlerOptions{URL: url, Function: "f", HTTP: client, Objects: store{}})
	if err != nil {
		t.Fatal(err)
	}
	path := writeRecording(t, list...)
	opts := replay.Options{
		Recording: openRecording(t, path), RecordingPath: path, Dir: t.TempDir() + "/run",
		Targets: map[string][]replay.Deployment{"create-order": {{Name: "functions", Target: handler, Rewrite: []rewrite.Change{
			{At: "/Records/*/messageId", Namespace: true}, {At: "/Records/*/s3/bucket/name", From: "orders", To: text("stg")},
		}}}},
	}
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	trials, _ := readRun(t, opts.Dir)
	if got := trials["i0"].Outcomes["functions"].Records; len(got) != 2 || got["m1"] != capture.Acked || got["m2"] != capture.Acked {
		t.Errorf("fates %v, want those of m1 and m2", got)
	}
	if out := trials["i1"].Outcomes["functions"]; out.Status != capture.StatusOK {
		t.Errorf("the object of the renamed bucket: %+v %+v", out, out.Error)
	}
}

// A store has one object, whatever it is asked for.
type store struct{}

func (store) OpenObject(string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("x")), nil
}
