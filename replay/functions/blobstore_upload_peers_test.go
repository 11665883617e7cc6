//go:build peers

package functions

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/completion"
)

func testAnUploadWhoseAnswerIsLostIsNotSentAgain(t *testing.T, storage peers.Storage) {
	cut := func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
	for _, tt := range []struct {
		name   string
		passes bool // the request reaches the service
		answer func(*http.Request) (*http.Response, error)
		known  bool
	}{
		{"cut off after it was written", true, cut, true},
		{"cut off before it was written", false, cut, false},
		{"timed out and written", true, func(r *http.Request) (*http.Response, error) {
			return refusal(r, http.StatusInternalServerError, "OperationTimedOut"), nil
		}, true},
		{"timed out and not written", false, func(r *http.Request) (*http.Response, error) {
			return refusal(r, http.StatusInternalServerError, "OperationTimedOut"), nil
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, board := pins{}, completion.NewBoard()
			name := "lost-" + strings.ReplaceAll(tt.name, " ", "-")
			b, h := newBlob(t, storage, name, BlobOptions{Objects: p, Board: board, EventGrid: true})
			// What was there before has the size, and the mark of another.
			_, err := h.blobs.NewBlockBlobClient("a").UploadBuffer(t.Context(), []byte("y"), &blockblob.UploadBufferOptions{
				Metadata: map[string]*string{capture.MarkMetadata: to.Ptr("run/other/functions/0")},
			})
			if err != nil {
				t.Fatal(err)
			}
			before := h.await("a")
			var puts atomic.Int32
			b.opts.HTTP.Transport = loser{b.opts.HTTP.Transport, func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodPut {
					return nil, nil
				}
				puts.Add(1)
				if tt.passes {
					resp, err := h.pass(r)
					if err != nil || resp.StatusCode != http.StatusCreated {
						t.Errorf("put: %+v, %v", resp, err)
					}
				}
				return tt.answer(r)
			}}
			done := fireBlob(t.Context(), b, s3Upload(t, p, "x", "a"))
			if !tt.known {
				got := <-done
				if got.err != nil || got.out.Status != capture.StatusTransport || puts.Load() != 1 || h.await("a") != before {
					t.Errorf("%+v, %v after %d puts", got.out, got.err, puts.Load())
				}
				return
			}
			h.until("it is written", func() bool { return h.await("a") != before })
			board.Report(completion.Report{
				Key: completion.Blob(name, "a", strings.Trim(h.await("a"), `"`)), Source: "recorder", Settled: capture.Acked,
			})
			if got := <-done; got.err != nil || got.out.Status != capture.StatusOK || puts.Load() != 1 {
				t.Errorf("%+v, %v after %d puts", got.out, got.err, puts.Load())
			}
		})
	}
}

// A loser answers in a service's place where it wants to, or loses answers.
type loser struct {
	http.RoundTripper
	answer func(r *http.Request) (*http.Response, error) // neither to pass the request on
}

func (l loser) RoundTrip(r *http.Request) (*http.Response, error) {
	if resp, err := l.answer(r); resp != nil || err != nil {
		return resp, err
	}
	return l.RoundTripper.RoundTrip(r)
}

func (h *blobHost) pass(r *http.Request) (*http.Response, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

func testWhatTheServiceRefusedWasNotSent(t *testing.T, storage peers.Storage) {
	p := pins{}
	var setup *replay.SetupError
	var throttled *replay.ThrottledError
	for _, tt := range []struct {
		name   string
		status int
		code   string
		from   int // the first put that is answered so
		as     any
	}{
		{"busy", http.StatusServiceUnavailable, "ServerBusy", 1, &throttled},
		{"too many", http.StatusTooManyRequests, "", 1, &throttled},
		{"no role", http.StatusForbidden, "AuthorizationPermissionMismatch", 1, &setup},
		{"no container", http.StatusNotFound, "ContainerNotFound", 1, &setup},
		{"leased", http.StatusPreconditionFailed, "LeaseIdMissing", 1, nil},
		{"busy at the second", http.StatusServiceUnavailable, "ServerBusy", 2, nil}, // the first must not be sent again
	} {
		b, h := newBlob(t, storage, "refused-"+strings.ReplaceAll(tt.name, " ", "-"), BlobOptions{Objects: p})
		puts := 0
		transport := b.opts.HTTP.Transport
		b.opts.HTTP.Transport = &impostor{RoundTripper: transport, answer: func(r *http.Request) *http.Response {
			if r.Method == http.MethodPut {
				if puts++; puts >= tt.from {
					return refusal(r, tt.status, tt.code)
				}
			}
			return nil
		}}
		got := <-fireBlob(t.Context(), b, s3Upload(t, p, "x", "a", "b"))
		switch {
		case tt.as != nil && !errors.As(got.err, tt.as), tt.from == 2 && (got.err == nil || errors.As(got.err, &throttled)),
			tt.as == nil && tt.from == 1 && (got.err != nil || got.out.Status != capture.StatusTransport):
			t.Errorf("%s: %+v, %v", tt.name, got.out, got.err)
		case puts != tt.from:
			t.Errorf("%s: %d puts", tt.name, puts)
		}
		if tt.from == 2 && !strings.Contains(got.err.Error(), "blob a was sent") {
			t.Errorf("%s: %v", tt.name, got.err)
		}
		if _, err := h.blobs.NewBlobClient("b").GetProperties(t.Context(), nil); !isMissing(err) {
			t.Errorf("%s: b is there: %v", tt.name, err)
		}
	}
	b, h := newBlob(t, storage, "gone", BlobOptions{Objects: p})
	if _, err := h.blobs.Delete(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := <-fireBlob(t.Context(), b, s3Upload(t, p, "x", "a")); !errors.As(got.err, &setup) {
		t.Errorf("a container that is not there: %+v, %v", got.out, got.err)
	}
	b, h = newBlob(t, storage, "unpinned", BlobOptions{Objects: p})
	inv := s3Upload(t, p, "x", "a", "b")
	inv.Objects[1].SHA256 = strings.Repeat("0", 64)
	if got := <-fireBlob(t.Context(), b, inv); got.err != nil || got.out.Status != capture.StatusUnreplayable {
		t.Errorf("an object that is not there: %+v, %v", got.out, got.err)
	}
	if _, err := h.blobs.NewBlobClient("a").GetProperties(t.Context(), nil); !isMissing(err) {
		t.Errorf("half of the event was sent: %v", err)
	}
}

// A stream is an object of zeros that fails at its end, or not.
type stream struct {
	size int64
	end  error
	read atomic.Int64
}

func (s *stream) OpenObject(string) (io.ReadCloser, error) {
	s.read.Store(0)
	return s, nil
}

func (s *stream) Read(p []byte) (int, error) {
	left := s.size - s.read.Load()
	if left == 0 {
		return 0, s.end
	}
	n := min(int64(len(p)), left)
	clear(p[:n])
	s.read.Add(n)
	return int(n), nil
}

func (s *stream) Close() error { return nil }

func testLargeObjectsPassInBlocks(t *testing.T, storage peers.Storage) {
	damaged := errors.New("its bytes are not those that were recorded")
	for _, tt := range []struct {
		name   string
		size   int64
		end    error
		blocks int32
	}{
		{"nothing", 0, io.EOF, 0},
		{"one byte less than a block", uploadBlock - 1, io.EOF, 0},
		{"one block", uploadBlock, io.EOF, 1},
		{"three blocks", 2*uploadBlock + 1, io.EOF, 3},
		{"damaged and small", 1, damaged, 0},
		{"damaged and large", 2*uploadBlock + 1, damaged, 3},
	} {
		objects, board := &stream{size: tt.size, end: tt.end}, completion.NewBoard()
		name := "large-" + strings.ReplaceAll(tt.name, " ", "-")
		b, h := newBlob(t, storage, name, BlobOptions{Objects: objects, Board: board, EventGrid: true})
		var blocks atomic.Int32
		var ahead atomic.Int64 // the most that was read and not sent
		transport := b.opts.HTTP.Transport
		b.opts.HTTP.Transport = &impostor{RoundTripper: transport, answer: func(r *http.Request) *http.Response {
			if r.URL.Query().Get("comp") == "block" {
				sent := int64(blocks.Add(1)-1) * uploadBlock
				ahead.Store(max(ahead.Load(), objects.read.Load()-sent))
			}
			return nil
		}}
		inv := s3Upload(t, pins{}, "x", "a")
		inv.Objects[0].Size = tt.size
		done := fireBlob(t.Context(), b, inv)
		if tt.end == io.EOF {
			etag := strings.Trim(h.await("a"), `"`)
			board.Report(completion.Report{Key: completion.Blob(name, "a", etag), Source: "recorder", Settled: capture.Acked})
		}
		got := <-done
		if ahead.Load() > uploadBlock || blocks.Load() != tt.blocks {
			t.Errorf("%s: %d blocks, %d bytes ahead", tt.name, blocks.Load(), ahead.Load())
		}
		props, err := h.blobs.NewBlobClient("a").GetProperties(t.Context(), nil)
		if tt.end != io.EOF {
			if got.err != nil || got.out.Status != capture.StatusUnreplayable || !isMissing(err) {
				t.Errorf("%s: %+v, %v; the blob: %v", tt.name, got.out, got.err, err)
			}
			continue
		}
		if got.err != nil || got.out.Status != capture.StatusOK || err != nil || *props.ContentLength != tt.size {
			t.Errorf("%s: %+v, %v; the blob: %v", tt.name, got.out, got.err, err)
		}
	}
}

func testAnAppIsSentTheEventOfAnUpload(t *testing.T, storage peers.Storage) {
	p := pins{}
	var setup *replay.SetupError
	var throttled *replay.ThrottledError
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		as     any            // the error's type
		status capture.Status // else
	}{
		{"accepted", answer(http.StatusAccepted), nil, capture.StatusOK},
		{"a page of something else", answer(http.StatusOK), nil, capture.StatusTransport},
		{"another key", answer(http.StatusUnauthorized), &setup, ""},
		{"no such app", answer(http.StatusNotFound), &setup, ""},
		{"throttled", answer(http.StatusTooManyRequests), &throttled, ""},
		{"broken", answer(http.StatusInternalServerError), nil, capture.StatusTransport},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, capture.StatusTransport},
	} {
		var mu sync.Mutex
		var query, mark string
		var events []blobEvent
		calls := 0
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			query, mark = r.URL.RequestURI(), r.Header.Get(capture.MarkHeader)
			if err := json.NewDecoder(r.Body).Decode(&events); err != nil || r.Header.Get("aeg-event-type") != "Notification" {
				t.Errorf("%s: %v, %v", tt.name, err, r.Header)
			}
			tt.answer(w, r)
		}))
		board := completion.NewBoard()
		name := "event-" + strings.ReplaceAll(tt.name, " ", "-")
		b, h := newBlob(t, storage, name, BlobOptions{
			Objects: p, Board: board, EventGrid: true, App: app.URL, Key: "s3cret+/=",
		})
		done := fireBlob(t.Context(), b, s3Upload(t, p, "sku", "a b+c/é.csv"))
		etag := strings.Trim(h.await("a b+c/é.csv"), `"`)
		board.Report(completion.Report{
			Key: completion.Blob(name, "a b+c/é.csv", etag), Source: "recorder", Settled: capture.Acked,
		})
		got := <-done
		app.Close()
		text := ""
		switch {
		case tt.as != nil:
			if !errors.As(got.err, tt.as) {
				t.Errorf("%s: %+v, %v", tt.name, got.out, got.err)
			} else {
				text = got.err.Error()
			}
		case got.err != nil || got.out.Status != tt.status:
			t.Errorf("%s: %+v, %v", tt.name, got.out, got.err)
		case got.out.Error != nil:
			text = got.out.Error.Message
		}
		if b.names.lost["a b+c/é.csv"] != (tt.status != capture.StatusOK && tt.as != any(&throttled)) {
			t.Errorf("%s: lost %v", tt.name, b.names.lost)
		}
		if strings.Contains(text, "s3cret") || calls != 1 {
			t.Errorf("%s: %d calls, %s", tt.name, calls, text)
		}
		if want := "/runtime/webhooks/blobs?functionName=Host.Functions." + name + "&code=s3cret%2B%2F%3D"; query != want {
			t.Errorf("%s: called %s, want %s", tt.name, query, want)
		}
		if len(events) != 1 {
			t.Fatalf("%s: %d events", tt.name, len(events))
		}
		e := events[0]
		if e.EventType != "Microsoft.Storage.BlobCreated" || e.Data.ETag != etag || e.Data.ContentLength != 3 ||
			e.Data.ContentType != "text/csv" || e.Data.API != "PutBlob" || e.Data.BlobType != "BlockBlob" ||
			e.Data.URL != storage.Blobs+"/"+name+"/a%20b%2Bc/%C3%A9.csv" || mark != "run/i/functions/0" ||
			e.Subject != "/blobServices/default/containers/"+name+"/blobs/a b+c/é.csv" {
			t.Errorf("%s: %+v, mark %q", tt.name, e, mark)
		}
	}
}

func testUploadsOfOneNameTakeTurns(t *testing.T, storage peers.Storage) {
	p, board := pins{}, completion.NewBoard()
	b, h := newBlob(t, storage, "turns", BlobOptions{Objects: p, Board: board, EventGrid: true})
	one := fireBlob(t.Context(), b, s3Upload(t, p, "x", "a", "b"))
	first := h.await("b")
	other := fireBlob(t.Context(), b, s3Upload(t, p, "x", "b", "c"))
	free := fireBlob(t.Context(), b, s3Upload(t, p, "x", "d"))
	report := func(name string, etag string) {
		board.Report(completion.Report{
			Key: completion.Blob("turns", name, strings.Trim(etag, `"`)), Source: "recorder", Settled: capture.Acked,
		})
	}
	report("d", h.await("d"))
	if got := <-free; got.err != nil {
		t.Error(got.err)
	}
	if etag := h.await("b"); etag != first {
		t.Error("b is written while the first upload is under way")
	}
	report("a", h.await("a"))
	report("b", first)
	if got := <-one; got.err != nil {
		t.Error(got.err)
	}
	report("c", h.await("c"))
	report("b", h.await("b"))
	if got := <-other; got.err != nil {
		t.Error(got.err)
	}
	if len(b.names.busy) != 0 || len(b.names.lost) != 0 {
		t.Errorf("names are still taken: %v, lost: %v", b.names.busy, b.names.lost)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := fireBlob(ctx, b, s3Upload(t, p, "x", "e"))
	h.await("e")
	cancel()
	if got := <-done; got.err == nil || !b.names.lost["e"] {
		t.Errorf("an upload that nothing was heard of: %+v, lost: %v", got.out, b.names.lost)
	}
}
