//go:build peers

package functions

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/capture"
	"tandem/fixtures/peers"
	"tandem/replay"
	"tandem/replay/completion"
)

// TestBlobStorage runs everything about blobs that needs a storage account at one.
func TestBlobStorage(t *testing.T) {
	storage := peers.Azurite(t)
	for _, tt := range []struct {
		name string
		test func(*testing.T, peers.Storage)
	}{
		{"Storage tells the fate of each upload", testStorageTellsTheFateOfEachUpload},
		{"What storage cannot tell is unknown", testWhatStorageCannotTellIsUnknown},
		{"A count from before a receipt tells nothing", testACountFromBeforeAReceiptTellsNothing},
		{"A service that does not count is not believed", testAServiceThatDoesNotCountIsNotBelieved},
		{"Others tell the fate of an upload", testOthersTellTheFateOfAnUpload},
		{"An upload whose answer is lost is not sent again", testAnUploadWhoseAnswerIsLostIsNotSentAgain},
		{"What the service refused was not sent", testWhatTheServiceRefusedWasNotSent},
		{"Large objects pass in blocks", testLargeObjectsPassInBlocks},
		{"An app is sent the event of an upload", testAnAppIsSentTheEventOfAnUpload},
		{"Uploads of one name take turns", testUploadsOfOneNameTakeTurns},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, storage) })
	}
}

// A blobHost stands for the Functions host behind a container: the test does what that does, when it wants to.
type blobHost struct {
	t               *testing.T
	function        string
	blobs           *container.Client
	receipts        *container.Client
	trigger, poison *azqueue.QueueClient
}

// newBlob returns a target at a new container of the account, and the container's host.
func newBlob(t *testing.T, s peers.Storage, name string, opts BlobOptions) (*Blob, *blobHost) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	opts.Account, opts.Container, opts.Function = s.ConnectionString(), name, name
	opts.HTTP = &http.Client{Transport: transport}
	if opts.Objects == nil {
		opts.Objects = pins{}
	}
	b, err := NewBlob(opts)
	if err != nil {
		t.Fatal(err)
	}
	account := storageAccount{opts.Account, nil, &http.Client{Transport: transport}}
	blobs, err := account.blobs(0)
	if err != nil {
		t.Fatal(err)
	}
	queues, err := account.queues()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blobs.CreateContainer(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
	_, _ = blobs.CreateContainer(t.Context(), hostContainer, nil) // another test may have
	h := &blobHost{
		t: t, function: name, blobs: blobs.NewContainerClient(name), receipts: blobs.NewContainerClient(hostContainer),
		trigger: queues.NewQueueClient(triggerQueue + hostID(name)), poison: queues.NewQueueClient(poisonBlobs),
	}
	if _, err := h.trigger.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	_, _ = h.poison.Create(t.Context(), nil)
	return b, h
}

// hostID is short, because names of queues are.
func hostID(name string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(name))) }

// await waits until a blob is there and returns its ETag in quotes.
func (h *blobHost) await(name string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := h.blobs.NewBlobClient(name).GetProperties(ctx, nil)
		if err == nil {
			return string(*got.ETag)
		}
		if !isMissing(err) {
			h.t.Fatal(err)
		}
		<-tick.C
	}
}

func (h *blobHost) receipt(name, etag string) string {
	return "blobreceipts/" + strings.Join(
		[]string{hostID(h.function), "Host.Functions." + h.function, etag, h.function, name}, "/")
}

// enqueue does what the host does with a blob that it finds: an incomplete receipt, the message, the receipt.
func (h *blobHost) enqueue(name, etag string) {
	h.t.Helper()
	receipt := h.begin(name, etag)
	if _, err := receipt.SetMetadata(h.t.Context(), nil, nil); err != nil {
		h.t.Fatal(err)
	}
}

// begin does the first half of that.
func (h *blobHost) begin(name, etag string) *blockblob.Client {
	h.t.Helper()
	receipt := h.receipts.NewBlockBlobClient(h.receipt(name, etag))
	_, err := receipt.UploadBuffer(h.t.Context(), nil, &blockblob.UploadBufferOptions{
		Metadata: map[string]*string{"Incomplete": to.Ptr("Incomplete")},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.trigger.EnqueueMessage(h.t.Context(), h.message(name, etag, h.function), nil); err != nil {
		h.t.Fatal(err)
	}
	return receipt
}

func (h *blobHost) message(name, etag, function string) string {
	doc, err := json.MarshalIndent(map[string]string{
		"Type": "BlobTrigger", "FunctionId": "Host.Functions." + function, "BlobType": "BlockBlob",
		"ContainerName": h.function, "BlobName": name, "ETag": etag,
	}, "", "  ")
	if err != nil {
		h.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(doc)
}

// take takes the messages that are there.
func (h *blobHost) take() []*azqueue.DequeuedMessage {
	h.t.Helper()
	got, err := h.trigger.DequeueMessages(h.t.Context(), &azqueue.DequeueMessagesOptions{
		NumberOfMessages: to.Ptr[int32](32), VisibilityTimeout: to.Ptr[int32](600),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return got.Messages
}

func (h *blobHost) delete(m *azqueue.DequeuedMessage) {
	h.t.Helper()
	if _, err := h.trigger.DeleteMessage(h.t.Context(), *m.MessageID, *m.PopReceipt, nil); err != nil {
		h.t.Fatal(err)
	}
}

func (h *blobHost) bury(text string) {
	h.t.Helper()
	if _, err := h.poison.EnqueueMessage(h.t.Context(), text, nil); err != nil {
		h.t.Fatal(err)
	}
}

func fireBlob(ctx context.Context, b *Blob, inv *capture.Invocation) <-chan fired {
	done := make(chan fired, 1)
	ctx = replay.WithMark(ctx, capture.Mark{Run: "run", Invocation: inv.ID, Target: "functions"})
	go func() {
		out, err := b.Fire(ctx, inv)
		done <- fired{out, err}
	}()
	return done
}

func testStorageTellsTheFateOfEachUpload(t *testing.T, storage peers.Storage) {
	p := pins{}
	b, h := newBlob(t, storage, "fates", BlobOptions{Objects: p})
	b.opts.Effects = func(_ context.Context, c, name, etag string) ([]capture.Effect, error) {
		return []capture.Effect{{Kind: "of", Resource: c, Key: name + etag}}, nil
	}
	for round, want := range []capture.Status{capture.StatusOK, capture.StatusFunctionError} { // the same again
		if round > 0 { // the first round's blob is there, and must not be taken for the second's
			if _, err := h.blobs.NewBlobClient("a b+c/é.csv").Delete(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if _, err := h.blobs.NewBlobClient("bad").Delete(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		done := fireBlob(t.Context(), b, s3Upload(t, p, "sku,price\n", "a b+c/é.csv", "bad"))
		good, bad := h.await("a b+c/é.csv"), h.await("bad")
		h.enqueue("a b+c/é.csv", good)
		h.enqueue("bad", bad)
		messages := h.take()
		if len(messages) != 2 {
			t.Fatalf("%d messages", len(messages))
		}
		h.bury(h.message("bad", bad, "another")) // a function that watches the same container
		if round == 1 {
			h.bury(*messages[1].MessageText)
		}
		h.delete(messages[0])
		select {
		case got := <-done:
			t.Fatalf("it ended while the function worked on a blob: %+v, %v", got.out, got.err)
		case <-time.After(150 * time.Millisecond): // several looks long
		}
		h.delete(messages[1])
		got := <-done
		if got.err != nil || got.out.Status != want || len(got.out.Effects) != 2 {
			t.Fatalf("round %d: %+v, %v; want %s", round, got.out, got.err, want)
		}
		if round == 1 && !strings.Contains(got.out.Error.Message, "blob bad was moved to queue webjobs-blobtrigger-") {
			t.Errorf("error %+v", got.out.Error)
		}
		if key := got.out.Effects[0].Key; key != "a b+c/é.csv"+strings.Trim(good, `"`) {
			t.Errorf("effects of %s", key)
		}
	}
	content, err := h.blobs.NewBlobClient("a b+c/é.csv").DownloadStream(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Body.Close()
	body, err := io.ReadAll(content.Body)
	var mark string
	for name, value := range content.Metadata {
		if strings.EqualFold(name, capture.MarkMetadata) {
			mark = *value
		}
	}
	if err != nil || string(body) != "sku,price\n" || *content.ContentType != "text/csv" || mark != "run/i/functions/0" {
		t.Errorf("got %q, %v, %s, mark %q", body, err, *content.ContentType, mark)
	}
}

func testWhatStorageCannotTellIsUnknown(t *testing.T, storage peers.Storage) {
	late := errors.New("no answer in time")
	for _, tt := range []struct {
		name string
		host func(h *blobHost, etag string)
		want string // of the error
	}{
		{"nobody polls", func(*blobHost, string) {}, "the host has no receipt for blob a"},
		{"a receipt that was begun", func(h *blobHost, etag string) {
			h.begin("a", etag)
			h.delete(h.take()[0])
		}, "the host has no receipt for blob a"},
		{"receipt of another upload", func(h *blobHost, _ string) {
			h.enqueue("a", `"0xOTHER"`)
			h.delete(h.take()[0])
		}, "the host has no receipt for blob a"},
		{"the function runs", func(h *blobHost, etag string) {
			h.enqueue("a", etag)
			h.take()
		}, "its queue is not empty since"},
		{"it is poison and not deleted", func(h *blobHost, etag string) {
			h.enqueue("a", etag)
			h.bury(h.message("a", `"0xOTHER"`, h.function))
		}, "its queue is not empty since"},
		{"somebody wrote over it", func(h *blobHost, etag string) {
			if _, err := h.blobs.NewBlockBlobClient("a").UploadBuffer(h.t.Context(), []byte("y"), nil); err != nil {
				h.t.Error(err)
			}
			h.enqueue("a", etag)
			h.delete(h.take()[0])
		}, "blob a was written again by somebody else"},
		{"two apps", func(h *blobHost, etag string) {
			_, err := h.receipts.NewBlockBlobClient(strings.Replace(h.receipt("a", etag), hostID(h.function), "another", 1)).
				UploadBuffer(h.t.Context(), nil, nil)
			if err != nil {
				h.t.Error(err)
			}
			h.enqueue("a", etag)
		}, "both watch container"},
		{"more poison than can be seen", func(h *blobHost, etag string) {
			for range maxPeek + 1 {
				h.bury(h.message("b", etag, h.function))
			}
			h.enqueue("a", etag)
			h.delete(h.take()[0])
		}, "messages that cannot be looked at"},
		{"poison that somebody has taken", func(h *blobHost, etag string) {
			h.bury(h.message("a", etag, h.function))
			hidden := &azqueue.DequeueMessagesOptions{VisibilityTimeout: to.Ptr[int32](60)}
			_, err := h.poison.DequeueMessages(h.t.Context(), hidden)
			if err != nil {
				h.t.Error(err)
			}
			h.enqueue("a", etag)
			h.delete(h.take()[0])
		}, "messages that cannot be looked at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pins{}
			b, h := newBlob(t, storage, "unknown-"+strings.ReplaceAll(tt.name, " ", "-"), BlobOptions{Objects: p})
			var looks atomic.Int32
			transport := b.opts.HTTP.Transport
			b.opts.HTTP.Transport = &impostor{RoundTripper: transport, answer: func(r *http.Request) *http.Response {
				if strings.Contains(r.URL.Path, poisonBlobs) && r.URL.Query().Get("peekonly") != "" {
					looks.Add(1)
				}
				return nil
			}}
			ctx, cancel := context.WithCancelCause(t.Context())
			done := fireBlob(ctx, b, s3Upload(t, p, "x", "a"))
			defer h.clearPoison()
			tt.host(h, h.await("a"))
			before := looks.Load()
			h.until("it has looked twice since", func() bool { return looks.Load() >= before+3 || len(done) > 0 })
			cancel(late)
			got := <-done
			if got.out != nil || !errors.Is(got.err, late) || !strings.Contains(got.err.Error(), tt.want) {
				t.Errorf("%+v, %v; want %q", got.out, got.err, tt.want)
			}
		})
	}
}

// The queue was empty when it was counted, and the second blob came into it after that.
func testACountFromBeforeAReceiptTellsNothing(t *testing.T, storage peers.Storage) {
	p := pins{}
	b, h := newBlob(t, storage, "order", BlobOptions{Objects: p})
	var later sync.Once
	var etag atomic.Value
	var looks atomic.Int32
	transport := b.opts.HTTP.Transport
	b.opts.HTTP.Transport = loser{transport, func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, poisonBlobs) {
			looks.Add(1)
		}
		if r.URL.Query().Get("comp") != "metadata" || !strings.HasSuffix(r.URL.Path, triggerQueue+hostID("order")) {
			return nil, nil
		}
		resp, err := transport.RoundTrip(r)
		later.Do(func() {
			h.enqueue("b", etag.Load().(string))
			h.take()
		})
		return resp, err
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := fireBlob(ctx, b, s3Upload(t, p, "x", "a", "b"))
	etag.Store(h.await("b"))
	first := h.await("a")
	if _, err := h.trigger.ClearMessages(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	receipt := h.receipts.NewBlockBlobClient(h.receipt("a", first))
	if _, err := receipt.UploadBuffer(t.Context(), nil, nil); err != nil { // its message was there, and is done with
		t.Fatal(err)
	}
	before := looks.Load()
	h.until("it has looked", func() bool { return looks.Load() >= before+8 || len(done) > 0 })
	cancel()
	if got := <-done; got.err == nil || !strings.Contains(got.err.Error(), "has queued blob b, and its queue is not") {
		t.Errorf("%+v, %v", got.out, got.err)
	}
}

func (h *blobHost) clearPoison() {
	h.t.Helper()
	if _, err := h.poison.ClearMessages(h.t.Context(), nil); err != nil {
		h.t.Error(err)
	}
}

// A service that did not count what is hidden would make each blob look done while its function runs.
func testAServiceThatDoesNotCountIsNotBelieved(t *testing.T, storage peers.Storage) {
	p := pins{}
	b, h := newBlob(t, storage, "counts", BlobOptions{Objects: p})
	var asked, looks atomic.Int32
	b.opts.HTTP.Transport = loser{b.opts.HTTP.Transport, func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, poisonBlobs) {
			looks.Add(1)
		}
		if r.URL.Query().Get("comp") != "metadata" || strings.Contains(r.URL.Path, poisonBlobs) {
			return nil, nil
		}
		if asked.Add(1); !strings.Contains(r.URL.Path, "/tandem-") {
			t.Errorf("asked for %s", r.URL.Path)
		}
		resp := refusal(r, http.StatusOK, "")
		resp.Header.Set("X-Ms-Approximate-Messages-Count", "0")
		return resp, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := fireBlob(ctx, b, s3Upload(t, p, "x", "a"))
	h.enqueue("a", h.await("a"))
	h.take()
	h.until("it was asked", func() bool { return asked.Load() > 0 })
	before := looks.Load()
	h.until("it has looked again", func() bool { return looks.Load() >= before+5 || len(done) > 0 })
	cancel()
	if got := <-done; got.err == nil || !strings.Contains(got.err.Error(), "does not count hidden messages") {
		t.Errorf("%+v, %v", got.out, got.err)
	}
}

func (h *blobHost) until(what string, ok func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("not within a minute: %s", what)
		}
	}
}

func testOthersTellTheFateOfAnUpload(t *testing.T, storage peers.Storage) {
	ok := &capture.Outcome{Status: capture.StatusOK}
	bad := &capture.Outcome{Status: capture.StatusFunctionError, Error: &capture.Error{Message: "no such row"}}
	for _, tt := range []struct {
		name   string
		says   []completion.Report
		status capture.Status
		failed string // the error in the outcome
	}{
		{"it succeeded", []completion.Report{{Attempt: 1, Outcome: ok}}, capture.StatusOK, ""},
		{"it failed at first", []completion.Report{{Attempt: 1, Outcome: bad}, {Attempt: 2, Outcome: ok}}, capture.StatusOK,
			"no such row"},
		{"it failed as often as it is tried", []completion.Report{{Attempt: 1, Outcome: bad}, {Attempt: 2, Outcome: bad}},
			capture.StatusFunctionError, "no such row"},
		{"it was given up", []completion.Report{{Settled: capture.DeadLettered}}, capture.StatusFunctionError,
			"webjobs-blobtrigger-poison"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, board := pins{}, completion.NewBoard()
			name := "others-" + strings.ReplaceAll(tt.name, " ", "-")
			b, h := newBlob(t, storage, name, BlobOptions{Objects: p, Board: board, EventGrid: true, Attempts: 2})
			done := fireBlob(t.Context(), b, s3Upload(t, p, "x", "a"))
			etag := strings.Trim(h.await("a"), `"`)
			for _, r := range tt.says {
				r.Key, r.Source = completion.Blob(name, "a", etag), "recorder"
				board.Report(r)
			}
			got := <-done
			if got.err != nil || got.out.Status != tt.status || (got.out.Error == nil) != (tt.failed == "") ||
				got.out.Error != nil && !strings.Contains(got.out.Error.Message, tt.failed) {
				t.Errorf("%+v, %v; want %s and %q", got.out, got.err, tt.status, tt.failed)
			}
		})
	}
}
