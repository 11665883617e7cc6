//go:build peers

package local

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/fixtures/peers"
)

// TestBlobs runs everything about blobs that needs a storage account, each with one of its own: hosts share what is
// in it.
func TestBlobs(t *testing.T) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, *blobAccount)
	}{
		{"Containers are looked through", testContainersAreLookedThrough},
		{"A failing blob is tried five times and is poison then", testAFailingBlobIsPoisonInTheEnd},
		{"Event Grid fires what it names", testEventGridFiresWhatItNames},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, newBlobAccount(t))
		})
	}
}

// A blobAccount is an account with a container for catalogs.
type blobAccount struct {
	t       *testing.T
	storage peers.Storage
	blobs   *service.Client
	catalog *container.Client
	queues  *azqueue.ServiceClient
	log     *syncBuffer
}

func newBlobAccount(t *testing.T) *blobAccount {
	t.Helper()
	a := &blobAccount{t: t, storage: peers.Azurite(t), log: new(syncBuffer)}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	a.blobs, err = service.NewClientFromConnectionString(a.storage.ConnectionString(), &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: transport}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.queues, a.catalog = queuesAt(t, a.storage), a.blobs.NewContainerClient("catalog")
	if _, err := a.catalog.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return a
}

// start runs an app whose function blob has the binding. Looking through containers is quick.
func (a *blobAccount) start(app string) *Functions {
	a.t.Helper()
	f, err := NewFunctions(a.t.Context(), FunctionsOptions{
		App: app, Env: []string{"AzureWebJobsStorage=" + a.storage.ConnectionString(), "PLACE=catalog"},
		BlobScan: 20 * time.Millisecond, Log: a.log, SystemKey: "sk",
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { f.Close() })
	return f
}

func (a *blobAccount) stop(f *Functions) {
	a.t.Helper()
	if err := f.Close(); err != nil {
		a.t.Error(err)
	}
}

func blobApp(t *testing.T, host, more string) string {
	return writeApp(t, host, map[string]string{"blob": `{"bindings":[{"type":"blobTrigger","direction":"in",` +
		`"name":"blob","path":"%PLACE%/{day}/{name}.csv","connection":"Storage"` + more + `}]}`})
}

func (a *blobAccount) upload(name, content string) (etag string) {
	a.t.Helper()
	got, err := a.catalog.NewBlockBlobClient(name).UploadBuffer(a.t.Context(), []byte(content),
		&blockblob.UploadBufferOptions{
			HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("text/csv")},
			Metadata:    map[string]*string{"shop": to.Ptr("north")},
		})
	if err != nil {
		a.t.Fatal(err)
	}
	return string(*got.ETag)
}

// calls is how often the function was called with a content.
func (a *blobAccount) calls(content string) int {
	return strings.Count(a.log.String(), `blob got "`+content+`"`)
}

func (a *blobAccount) settled(f *Functions) bool {
	queue := a.queues.NewQueueClient(blobQueue + f.hostID())
	props, err := queue.GetProperties(a.t.Context(), nil)
	return err == nil && *props.ApproximateMessagesCount == 0
}

func testContainersAreLookedThrough(t *testing.T, a *blobAccount) {
	before := a.upload("2026/old.csv", "old") // from before the host was there
	app := blobApp(t, payloads, "")
	f := a.start(app)
	until(t, "the old blob is done", func() bool { return a.calls("old") == 1 && a.settled(f) })
	etag := a.upload("2026/01/a b+c.csv", "one")
	a.upload("2026/a.txt", "text") // not in the path
	until(t, "the new blob is done", func() bool { return a.calls("one") == 1 && a.settled(f) })
	for _, want := range []string{
		`"Uri":"\"` + a.storage.Blobs + `/catalog/2026/01/a%20b%2Bc.csv\""`,
		`"day":"\"2026/01\""`, `"name":"\"a b+c\""`, `"Metadata":{"shop":"north"}`, `"ContentType":"text/csv"`,
		`"ContentLength":3`, fmt.Sprintf(`"ETag":%q`, etag),
	} {
		if !strings.Contains(a.log.String(), want) {
			t.Errorf("the payload has no %s:\n%s", want, a.log)
		}
	}
	path := "blobreceipts/" + f.hostID() + "/Host.Functions.blob/" + before + "/catalog/2026/old.csv"
	receipt, err := a.blobs.NewContainerClient(hostContainer).NewBlobClient(path).GetProperties(t.Context(), nil)
	if err != nil || len(receipt.Metadata) != 0 || *receipt.ContentLength != 0 {
		t.Errorf("the receipt %s: %+v, %v", path, receipt, err)
	}
	a.stop(f)

	f = a.start(app) // again: it knows what was done, and sees what is new
	again := a.upload("2026/old.csv", "again")
	until(t, "what is new is done", func() bool { return a.calls("again") == 1 && a.settled(f) })
	a.upload("2026/old.csv", "again")
	until(t, "the same content with another ETag is done", func() bool { return a.calls("again") == 2 && a.settled(f) })
	// A message about what is there no more.
	err = f.blobs.enqueue(t.Context(), blobMessage{
		FunctionID: "Host.Functions.blob", ContainerName: "catalog", BlobName: "2026/old.csv", ETag: before,
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is passed over", func() bool {
		return strings.Contains(a.log.String(), "blob 2026/old.csv was written again") && a.settled(f)
	})
	a.stop(f)
	if a.calls("again") != 2 {
		t.Errorf("called %d times for an upload that is no more", a.calls("again"))
	}
	if a.calls("old") != 1 || a.calls("one") != 1 || a.calls("text") != 0 || again == before {
		t.Errorf("called %d, %d, %d times:\n%s", a.calls("old"), a.calls("one"), a.calls("text"), a.log)
	}
}

func testAFailingBlobIsPoisonInTheEnd(t *testing.T, a *blobAccount) {
	f := a.start(blobApp(t, payloads, `,"dataType":"binary"`))
	content := base64.StdEncoding.EncodeToString([]byte{0, 1, 2, 0xff})
	a.upload("2026/good.csv", "\x00\x01\x02\xff")
	until(t, "bytes come in base64", func() bool { return strings.Contains(a.log.String(), "blob got "+content) })
	a.stop(f)
	f = a.start(blobApp(t, payloads, ""))
	etag := a.upload("2026/bad.csv", "fail")
	poison := a.queues.NewQueueClient(poisonBlobs)
	until(t, "it is given up", func() bool {
		props, err := poison.GetProperties(t.Context(), nil)
		return err == nil && *props.ApproximateMessagesCount > 0 && a.settled(f)
	})
	a.stop(f)
	if a.calls("fail") != 5 {
		t.Errorf("called %d times:\n%s", a.calls("fail"), a.log)
	}
	got, err := poison.PeekMessages(t.Context(), nil)
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("poison: %+v, %v", got.Messages, err)
	}
	doc, err := base64.StdEncoding.DecodeString(*got.Messages[0].MessageText)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]string
	want := map[string]string{
		"Type": "BlobTrigger", "FunctionId": "Host.Functions.blob", "BlobType": "BlockBlob", "ContainerName": "catalog",
		"BlobName": "2026/bad.csv", "ETag": etag,
	}
	if err := json.Unmarshal(doc, &m); err != nil || fmt.Sprint(m) != fmt.Sprint(want) {
		t.Errorf("poison %s, %v; want %v", doc, err, want)
	}
}

func testEventGridFiresWhatItNames(t *testing.T, a *blobAccount) {
	f := a.start(blobApp(t, `},"extensions":{"blobs":{"poisonBlobThreshold":2,"maxDegreeOfParallelism":1}}`,
		`,"source":"eventGrid"`))
	srv := httptest.NewServer(f.Handler())
	defer srv.Close()
	etag := strings.Trim(a.upload("2026/a.csv", "one"), `"`)
	a.upload("2026/bad.csv", "fail")
	event := func(name, etag string) string {
		return `{"eventType":"Microsoft.Storage.BlobCreated","data":{"api":"PutBlob","eTag":"` + etag +
			`","blobType":"BlockBlob","url":"` + a.storage.Blobs + "/catalog/" + name + `"}}`
	}
	for _, tt := range []struct {
		name, key, kind, query, body string
		status                       int
		says                         string
	}{
		{"another key", "fk", "Notification", "Host.Functions.blob", "[" + event("2026/a.csv", etag) + "]", 401, ""},
		{"no kind", "sk", "", "Host.Functions.blob", "[" + event("2026/a.csv", etag) + "]", 400, ""},
		{"no url", "sk", "Notification", "Host.Functions.blob", `[{"data":{}}]`, 500, ""},
		{"no JSON", "sk", "Notification", "Host.Functions.blob", "x", 500, ""},
		{"the handshake", "sk", "SubscriptionValidation", "Host.Functions.blob",
			`[{"data":{"validationCode":"c0de"}}]`, 200, `{"validationResponse":"c0de"}`},
		{"no such function", "sk", "Notification", "Host.Functions.other", "[" + event("2026/a.csv", etag) + "]", 202, ""},
		{"a blob that is not there", "sk", "Notification", "Host.Functions.blob", event("2026/none.csv", "0x1"), 202, ""},
		{"two, one of them with an old ETag", "sk", "Notification", "Host.Functions.blob",
			"[" + event("2026/a.csv", etag) + "," + event("2026/a.csv", "0x1") + "]", 202, ""},
		{"one that fails", "sk", "notification", "Host.Functions.blob", event("2026/bad.csv", "0x2"), 202, ""},
	} {
		resp, body := send(t, "POST", srv.URL+"/runtime/webhooks/blobs?functionName="+tt.query+"&code="+tt.key, tt.body,
			"aeg-event-type: "+tt.kind)
		if resp.StatusCode != tt.status || strings.TrimSpace(body) != tt.says {
			t.Errorf("%s: %d %s, want %d %s", tt.name, resp.StatusCode, body, tt.status, tt.says)
		}
	}
	until(t, "all is done", func() bool { return a.calls("one") >= 2 && a.calls("fail") >= 2 && a.settled(f) })
	a.stop(f)
	if a.calls("one") != 2 || a.calls("fail") != 2 { // ETags are not compared, and there are no receipts
		t.Errorf("called %d and %d times:\n%s", a.calls("one"), a.calls("fail"), a.log)
	}
	list := a.blobs.NewContainerClient(hostContainer).NewListBlobsFlatPager(nil)
	if page, err := list.NextPage(t.Context()); err == nil && len(page.Segment.BlobItems) > 0 {
		t.Errorf("%d receipts", len(page.Segment.BlobItems))
	}
	poison := a.queues.NewQueueClient(poisonBlobs)
	if n := length(t, poison); n != 1 {
		t.Errorf("%d poison messages", n)
	}
	for _, told := range []string{`is for "Host.Functions.other"`, "blob 2026/none.csv is gone"} {
		if !strings.Contains(a.log.String(), told) {
			t.Errorf("it is not told what was passed over, %s:\n%s", told, a.log)
		}
	}
}
