//go:build peers

package eventhub

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"tandem/capture"
	"tandem/fixtures/peers"
)

const patience = 2 * time.Minute // how long a test waits for what has to happen

// A world is a hub and a storage account.
type world struct {
	hub     string // its connection string
	storage peers.Storage
	// container is that for checkpoints.
	container string
}

func newWorld(t *testing.T, storage peers.Storage, partitions int) *world {
	t.Helper()
	w := &world{hub: peers.EventHubs(t, "tap", partitions), storage: storage}
	w.container = strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:])
	w.container = w.container[:min(len(w.container), 63)]
	client, err := container.NewClientFromConnectionString(storage.ConnectionString(), w.container, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// send puts events into a partition, as one batch.
func (w *world) send(t *testing.T, partition int, events ...string) {
	t.Helper()
	var list []*azeventhubs.EventData
	for _, body := range events {
		list = append(list, &azeventhubs.EventData{Body: []byte(body)})
	}
	w.sendAll(t, partition, list...)
}

func (w *world) sendAll(t *testing.T, partition int, events ...*azeventhubs.EventData) {
	t.Helper()
	ctx := t.Context()
	producer, err := azeventhubs.NewProducerClientFromConnectionString(w.hub, "tap", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close(ctx) //nolint:errcheck // what was sent is seen when it is read
	for len(events) > 0 {
		batch, err := producer.NewEventDataBatch(ctx,
			&azeventhubs.EventDataBatchOptions{PartitionID: to.Ptr(fmt.Sprint(partition))})
		if err != nil {
			t.Fatal(err)
		}
		for len(events) > 0 {
			err := batch.AddEventData(events[0], nil)
			if errors.Is(err, azeventhubs.ErrEventDataTooLarge) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			events = events[1:]
		}
		if err := producer.SendEventDataBatch(ctx, batch, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// options are those of a capture that ends when nothing has come for a while.
func (w *world) options(t *testing.T, sink Sink) Options {
	t.Helper()
	client, store, err := Connect(Access{
		ConnectionString: w.hub, Hub: "tap", Container: w.storage.Blobs + "/" + w.container,
		ContainerConnection: w.storage.ConnectionString(), Owner: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(context.Background()) }) //nolint:errcheck // the test is over
	return Options{
		Client: client, Checkpoints: store, Hub: "tap", Sink: sink, Idle: 700 * time.Millisecond,
		Settle: 50 * time.Millisecond, Checkpoint: 100 * time.Millisecond, Balance: 500 * time.Millisecond,
		Expire: 3 * time.Second, Logf: t.Logf,
	}
}

// A list is a sink in memory.
type list struct {
	mu     sync.Mutex
	all    []*capture.Invocation
	synced int
	lost   int64
	wrote  chan struct{} // is told of each, where it is not nil
}

func (l *list) Write(inv *capture.Invocation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, inv)
	if l.wrote != nil {
		select {
		case l.wrote <- struct{}{}:
		default:
		}
	}
	return nil
}

func (l *list) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced = len(l.all)
	return nil
}

func (l *list) AddLost(n int64) { l.lost += n }

func (l *list) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, inv := range l.all {
		ids = append(ids, inv.ID)
	}
	slices.Sort(ids)
	return ids
}

func (l *list) byID() map[string]*capture.Invocation {
	m := make(map[string]*capture.Invocation)
	for _, inv := range l.all {
		m[inv.ID] = inv
	}
	return m
}

func line(n int) string {
	return fmt.Sprintf(`{"id":"tandem-%06d","function":"f","trigger":"other","format":"other",`+
		`"time":"2026-03-01T10:00:00Z","event":{"n":%d},"context":{}}`, n, n)
}

// TestAHub runs what needs a hub, all at once: most of the time is spent in waiting.
func TestAHub(t *testing.T) {
	storage := peers.Azurite(t)
	for name, test := range map[string]func(*testing.T, peers.Storage){
		"ProcessesShareTheHubAndLoseNothing":   processesShareTheHubAndLoseNothing,
		"LinesOfARecordingComeBackAsTheyWere":  linesOfARecordingComeBackAsTheyWere,
		"ACheckpointDoesNotPassWhatIsNotWhole": aCheckpointDoesNotPassWhatIsNotWhole,
		"NothingIsCheckpointedThatIsNotOnDisk": nothingIsCheckpointedThatIsNotOnDisk,
		"EventsThatHaveExpiredAreTold":         eventsThatHaveExpiredAreTold,
		"ACaptureBeginsAndEndsWhereItIsTold":   aCaptureBeginsAndEndsWhereItIsTold,
		"WhatCannotBeUsedIsExplained":          whatCannotBeUsedIsExplained,
		"APartitionThatCannotBeReadIsTold":     aPartitionThatCannotBeReadIsTold,
		"ABusyServerIsAskedAgain":              aBusyServerIsAskedAgain,
		"BlobsArePinnedWhileTheyAreAsTheyWere": blobsArePinnedWhileTheyAreAsTheyWere,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, storage)
		})
	}
}

func linesOfARecordingComeBackAsTheyWere(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 3)
	const each = 300
	var want []string
	for p := range 3 {
		w.send(t, p, lines(p*each, each)...)
	}
	for n := range 3 * each {
		want = append(want, fmt.Sprintf("tandem-%06d", n))
	}
	got := &list{}
	report, err := Capture(t.Context(), w.options(t, got))
	if err != nil {
		t.Fatal(err)
	}
	if ids := got.ids(); !slices.Equal(ids, want) {
		t.Errorf("%d recorded, %d sent", len(ids), len(want))
	}
	if report.Events != 3*each || !report.Complete || report.Partitions["2"].Checkpoint != each-1 ||
		got.synced != 3*each {
		t.Errorf("report %+v, %d synced", report, got.synced)
	}
	if string(got.byID()["tandem-000007"].Event) != `{"n":7}` {
		t.Errorf("event %s", got.byID()["tandem-000007"].Event)
	}
	again := &list{}
	report, err = Capture(t.Context(), w.options(t, again))
	if err != nil || report.Events != 0 || len(again.all) != 0 {
		t.Errorf("it was read again: %+v, %v", report, err)
	}
}

// lines makes n lines of a recording.
func lines(first, n int) []string {
	var all []string
	for i := range n {
		all = append(all, line(first+i))
	}
	return all
}

// start runs a capture that has no end until stop is called, which returns what Capture did.
func start(t *testing.T, opts Options) (stop func() (*Report, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var report *Report
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		report, err = Capture(ctx, opts)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() (*Report, error) {
		cancel()
		<-done
		return report, err
	}
}

// await waits until the sink has n invocations.
func (l *list) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		have := len(l.all)
		l.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-l.wrote:
		case <-deadline:
			t.Fatalf("%d of %d were recorded", have, n)
		}
	}
}

func newList() *list { return &list{wrote: make(chan struct{}, 1)} }

// aCheckpointDoesNotPassWhatIsNotWhole stops a capture that has the beginning of an invocation, and more behind it.
// What goes on has to read the beginning again.
func aCheckpointDoesNotPassWhatIsNotWhole(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 2)
	w.send(t, 0, line(1), records("pseudo", begins, details1, logged), line(2))
	w.send(t, 1, line(3), line(4))
	first := newList()
	opts := w.options(t, first)
	opts.Idle, opts.Pattern = 0, orderPattern
	stop := start(t, opts)
	first.await(t, 4)
	report, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	if report.Partitions["0"].Checkpoint != 0 || report.Partitions["1"].Checkpoint != 1 || report.Complete ||
		report.Functions["process-order"].Open != 1 {
		t.Fatalf("partitions %+v %+v, functions %+v", report.Partitions["0"], report.Partitions["1"], report.Functions)
	}
	w.send(t, 1, records("text", succeeds))
	second := newList()
	opts = w.options(t, second)
	opts.Pattern = orderPattern
	opts.Recorded = func(yield func(string, error) bool) {
		for _, id := range first.ids() {
			if !yield(id, nil) {
				return
			}
		}
	}
	report, err = Capture(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if ids := second.ids(); !slices.Equal(ids, []string{orderID}) || report.Repeated != 1 {
		t.Errorf("recorded %v, %+v", ids, report)
	}
	if out := second.all[0].Outcome; out == nil || out.Records["m-1"] != capture.Acked {
		t.Errorf("outcome %+v", out)
	}
}

func nothingIsCheckpointedThatIsNotOnDisk(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 1)
	w.send(t, 0, lines(0, 20)...)
	broken := &fullDisk{list: newList()}
	if _, err := Capture(t.Context(), w.options(t, broken)); !errors.Is(err, errFull) {
		t.Fatalf("error %v", err)
	}
	second := newList()
	if _, err := Capture(t.Context(), w.options(t, second)); err != nil || len(second.all) != 20 {
		t.Errorf("%d recorded, %v", len(second.all), err)
	}
}

var errFull = errors.New("no space left on device")

// A fullDisk takes what is written and cannot sync it.
type fullDisk struct{ *list }

func (*fullDisk) Sync() error { return errFull }

// processesShareTheHubAndLoseNothing starts a second capture while the first is at work, and stops the first before
// all was sent.
func processesShareTheHubAndLoseNothing(t *testing.T, storage peers.Storage) {
	const partitions, each = 4, 120
	w := newWorld(t, storage, partitions)
	one, two := newList(), newList()
	opts := w.options(t, one)
	opts.Idle = 0
	stopOne := start(t, opts)
	for p := range partitions {
		w.send(t, p, lines(p*each, each/3)...)
	}
	one.await(t, partitions*each/3)
	opts = w.options(t, two)
	opts.Client, _, _ = Connect(Access{ConnectionString: w.hub, Hub: "tap", Owner: "two",
		Container: w.storage.Blobs + "/" + w.container, ContainerConnection: w.storage.ConnectionString()})
	t.Cleanup(func() { opts.Client.Close(context.Background()) }) //nolint:errcheck // the test is over
	opts.Idle = 0
	stopTwo := start(t, opts)
	for p := range partitions {
		w.send(t, p, lines(p*each+each/3, each/3)...)
	}
	waitFor(t, "the second to get a partition", two.wrote, func() bool {
		w.send(t, 0, line(900_000))
		w.send(t, 1, line(900_001))
		w.send(t, 2, line(900_002))
		w.send(t, 3, line(900_003))
		return len(two.ids()) > 0
	})
	if _, err := stopOne(); err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		w.send(t, p, lines(p*each+2*each/3, each/3)...)
	}
	missing := func() (n int) {
		have := make(map[string]bool)
		for _, id := range append(one.ids(), two.ids()...) {
			have[id] = true
		}
		for i := range partitions * each {
			if !have[fmt.Sprintf("tandem-%06d", i)] {
				n++
			}
		}
		return n
	}
	waitFor(t, "all to be recorded", two.wrote, func() bool { return missing() == 0 })
	if _, err := stopTwo(); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*list{one, two} {
		ids := l.ids()
		if n := len(slices.Compact(slices.Clone(ids))); n != len(ids) {
			t.Errorf("%d of %d were recorded twice", len(ids)-n, len(ids))
		}
	}
}

// waitFor asks until is holds, now and then and when there is news.
func waitFor(t *testing.T, what string, news <-chan struct{}, is func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-news:
		case <-time.After(300 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func eventsThatHaveExpiredAreTold(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 1)
	w.send(t, 0, lines(0, 5)...)
	if _, err := Capture(t.Context(), w.options(t, newList())); err != nil {
		t.Fatal(err)
	}
	w.send(t, 0, lines(5, 3)...)
	w.sendAll(t, 0, &azeventhubs.EventData{Body: []byte(line(8)), Properties: map[string]any{"trim": true}})
	got := newList()
	report, err := Capture(t.Context(), w.options(t, got))
	if err != nil || report.Partitions["0"].Expired != 3 || report.Complete || len(got.all) != 1 {
		t.Errorf("%d recorded, partition %+v, %v", len(got.all), report.Partitions["0"], err)
	}
}

func aCaptureBeginsAndEndsWhereItIsTold(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 2)
	w.send(t, 0, lines(0, 10)...)
	between := time.Now().Add(2 * time.Millisecond)
	for time.Since(between) < 2*time.Millisecond { // the hub has nothing but the clock to go by
	}
	w.send(t, 0, lines(10, 10)...)
	for _, tt := range []struct {
		name        string
		set         func(*Options)
		first, size int
	}{
		{"all", func(*Options) {}, 0, 20},
		{"from the latest", func(o *Options) { o.From.Latest = true }, 0, 0},
		{"from a time", func(o *Options) { o.From.Time = between }, 10, 10},
		{"until a time", func(o *Options) { o.Until, o.Idle = between, 0 }, 0, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newList()
			opts := w.options(t, got)
			opts.Client, opts.Checkpoints, _ = Connect(Access{ConnectionString: w.hub, Hub: "tap", Owner: tt.name,
				ConsumerGroup: fmt.Sprint("group", tt.first, tt.size), Container: w.storage.Blobs + "/" + w.container,
				ContainerConnection: w.storage.ConnectionString()})
			defer opts.Client.Close(context.Background()) //nolint:errcheck // the test is over
			tt.set(&opts)
			report, err := Capture(t.Context(), opts)
			if err != nil || len(got.all) != tt.size {
				t.Fatalf("%d recorded, %+v, %v", len(got.all), report, err)
			}
			if tt.size > 0 && got.ids()[0] != fmt.Sprintf("tandem-%06d", tt.first) {
				t.Errorf("the first is %s", got.ids()[0])
			}
		})
	}
}

func whatCannotBeUsedIsExplained(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 1)
	good := Access{ConnectionString: w.hub, Hub: "tap", Container: w.storage.Blobs + "/" + w.container,
		ContainerConnection: w.storage.ConnectionString()}
	if err := Check(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		set  func(*Access)
		says string
	}{
		{"another hub", func(a *Access) { a.Hub = "other" }, "no such hub"},
		{"a wrong key", func(a *Access) { a.ConnectionString += ";SharedAccessKeyName=wrong" }, "Data Receiver"},
		{"no container", func(a *Access) { a.Container += "2" }, "az storage container create"},
		{"a wrong key of storage", func(a *Access) {
			a.ContainerConnection = strings.Replace(a.ContainerConnection, "AccountKey=E", "AccountKey=F", 1)
		}, "Storage Blob Data Contributor"},
	} {
		a := good
		tt.set(&a)
		err := Check(t.Context(), a)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), w.storage.Key) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// aPartitionThatCannotBeReadIsTold asks for a consumer group that is not there, which the processor tells nobody.
func aPartitionThatCannotBeReadIsTold(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 1)
	opts := w.options(t, newList())
	opts.Client, opts.Checkpoints, _ = Connect(Access{ConnectionString: w.hub, Hub: "tap", ConsumerGroup: "none",
		Retry:     azeventhubs.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond},
		Container: storage.Blobs + "/" + w.container, ContainerConnection: storage.ConnectionString()})
	defer opts.Client.Close(context.Background()) //nolint:errcheck // the test is over
	if _, err := Capture(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "consumer group") {
		t.Errorf("error %v", err)
	}
}

func aBusyServerIsAskedAgain(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 1)
	w.hub = peers.BusyEventHubs(t, "tap", 1, 2)
	w.send(t, 0, lines(0, 10)...)
	got := newList()
	if _, err := Capture(t.Context(), w.options(t, got)); err != nil || len(got.all) != 10 {
		t.Errorf("%d recorded, %v", len(got.all), err)
	}
}

func blobsArePinnedWhileTheyAreAsTheyWere(t *testing.T, storage peers.Storage) {
	w := newWorld(t, storage, 1)
	client, err := azblob.NewClientFromConnectionString(w.storage.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	access := container.PublicAccessTypeBlob
	_, err = client.CreateContainer(t.Context(), "catalog", &azblob.CreateContainerOptions{Access: &access})
	if err != nil {
		t.Fatal(err)
	}
	up, err := client.UploadBuffer(t.Context(), "catalog", "in/a b.csv", []byte("tea,3"), nil)
	if err != nil {
		t.Fatal(err)
	}
	event := func(id, name, etag string) string {
		return `{"id":"` + id + `","subject":"/blobServices/default/containers/catalog/blobs/` + name + `","eventType":` +
			`"Microsoft.Storage.BlobCreated","eventTime":"2026-03-01T10:00:00Z","data":{"eTag":"` + etag +
			`","contentLength":5,"url":"` + w.storage.Blobs + `/catalog/` + strings.ReplaceAll(name, " ", "%20") + `"}}`
	}
	etag := strings.Trim(string(*up.ETag), `"`)
	w.send(t, 0, "["+event("1", "in/a b.csv", etag)+"]", event("2", "in/a b.csv", "0x1"), event("3", "gone", "0x1"),
		event("1", "in/a b.csv", etag))
	dir := filepath.Join(t.TempDir(), "rec")
	writer, err := capture.Create(dir, capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close() //nolint:errcheck // nothing is asked of it
	opts := w.options(t, writer)
	opts.Objects, opts.Pin = writer, Blobs{}
	report, err := Capture(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	f := report.Functions["catalog"]
	if f.Recorded != 3 || f.Unpinned != 2 || report.Repeated != 1 {
		t.Errorf("report %+v, function %+v", report, f)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "objects", "sha256", "*")); err != nil || len(found) != 1 {
		t.Errorf("objects %v, %v", found, err)
	}
}
