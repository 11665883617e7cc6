package effects

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/google/go-cmp/cmp"

	"tandem/capture"
)

func getBlob(t *testing.T, c *azblob.Client, container, name string) string {
	t.Helper()
	out := must(c.DownloadStream(t.Context(), container, name, nil))(t)
	defer out.Body.Close()
	return string(must(io.ReadAll(out.Body))(t))
}

func uploadBlob(t *testing.T, c *azblob.Client, container, name, body string) {
	t.Helper()
	must(c.UploadBuffer(t.Context(), container, name, []byte(body), nil))(t)
}

func putOf(key, body string, attributes map[string]string) capture.Effect {
	e := capture.Effect{Kind: capture.ObjectPut, Resource: "orders-bucket", Key: key, Attributes: attributes}
	if body != "" {
		e.Body = text(body)
	}
	return e
}

func wantAzureCode(t *testing.T, err error, status int, code bloberror.Code) {
	t.Helper()
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != status || answer.ErrorCode != string(code) {
		t.Errorf("error is %v, want %d %s", err, status, code)
	}
}

func TestBlobPutsAreTheEffectsThatS3PutsAre(t *testing.T) {
	s, p := newWorkingPort(t)
	c := blobClient(t, p)
	must(c.UploadBuffer(t.Context(), "orders", "plain", []byte("1"), nil))(t)
	must(c.UploadBuffer(t.Context(), "orders", "full", []byte("hi"), &azblob.UploadBufferOptions{
		HTTPHeaders: &blob.HTTPHeaders{
			BlobContentType: to.Ptr("text/plain"), BlobCacheControl: to.Ptr("no-cache"),
			BlobContentEncoding: to.Ptr("identity"),
		},
		Metadata: map[string]*string{"Order_Id": to.Ptr("7")}, Tags: map[string]string{"b": "2", "a": "1"},
	}))(t)
	must(c.UploadBuffer(t.Context(), "orders", "octets", []byte("x"), &azblob.UploadBufferOptions{
		HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("application/octet-stream")},
	}))(t)
	must(c.UploadBuffer(t.Context(), "other", "empty", nil, nil))(t)
	wantEffects(t, s,
		putOf("plain", "1", nil),
		putOf("full", "hi", map[string]string{
			"content-type": "text/plain", "cache-control": "no-cache", "content-encoding": "identity",
			"metadata.order_id": "7", "tags": "a=1&b=2",
		}),
		putOf("octets", "x", nil),
		capture.Effect{Kind: capture.ObjectPut, Resource: "azblob://devstoreaccount1/other", Key: "empty"})
}

func TestPutBlobTakesPlainHeadersToo(t *testing.T) {
	s, p := newWorkingPort(t)
	request(t, p, "PUT", "/blob/a/orders/k", "1", map[string]string{
		"X-Ms-Blob-Type": "BlockBlob", "Content-Type": "text/csv", "Cache-Control": "private",
		"X-Ms-Blob-Cache-Control": "no-cache",
	})
	wantEffects(t, s, putOf("k", "1", map[string]string{"content-type": "text/csv", "cache-control": "no-cache"}))
}

func TestBlobNamesArriveAsTheCallerWroteThem(t *testing.T) {
	for _, name := range []string{"a b.csv", "a+b", "ü/日本.csv", "100%", "a%2Fb", "a/b/c", "?q=1&x#y", "~!*'()"} {
		t.Run(name, func(t *testing.T) {
			s, p := newWorkingPort(t)
			c := blobClient(t, p)
			uploadBlob(t, c, "orders", name, "x")
			if got := getBlob(t, c, "orders", name); got != "x" {
				t.Errorf("read %q", got)
			}
			wantEffects(t, s, putOf(name, "x", nil))
		})
	}
}

func TestBlobStreamsAreOnePutWhenTheirBlocksAreCommitted(t *testing.T) {
	s, p := newWorkingPort(t)
	c := blobClient(t, p)
	content := strings.Repeat("0123456789", 1000)
	must(c.UploadStream(t.Context(), "orders", "k", strings.NewReader(content), &azblob.UploadStreamOptions{
		BlockSize: 1024, HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("text/plain")},
	}))(t)
	if got := getBlob(t, c, "orders", "k"); got != content {
		t.Error("the blob is read back differently")
	}
	bb := c.ServiceClient().NewContainerClient("orders").NewBlockBlobClient("k")
	_, err := bb.CommitBlockList(t.Context(), []string{"bm90IHN0YWdlZA=="}, nil)
	wantAzureCode(t, err, 400, bloberror.InvalidBlockList)
	wantEffects(t, s, putOf("k", content, map[string]string{"content-type": "text/plain"}))
}

func TestBlobAnswersAsTheServiceWould(t *testing.T) {
	s, p := newWorkingPort(t)
	c := blobClient(t, p)
	uploadBlob(t, c, "orders", "k", "0123456789")
	bc := c.ServiceClient().NewContainerClient("orders").NewBlockBlobClient("k")

	head := must(bc.GetProperties(t.Context(), nil))(t)
	if *head.ContentLength != 10 || *head.ContentType != "application/octet-stream" || head.LastModified == nil ||
		fmt.Sprintf("%x", head.ContentMD5) != "781e5e245d69b566979b86e28d23f2c7" {
		t.Errorf("properties: %+v", head)
	}
	middle := &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 2, Count: 3}}
	part := must(bc.DownloadStream(t.Context(), middle))(t)
	defer part.Body.Close()
	if got := string(must(io.ReadAll(part.Body))(t)); got != "234" || *part.ContentRange != "bytes 2-4/10" {
		t.Errorf("range: %q, %s", got, *part.ContentRange)
	}
	buffer := make([]byte, 10)
	n := must(bc.DownloadBuffer(t.Context(), buffer, &blob.DownloadBufferOptions{BlockSize: 3}))(t)
	if n != 10 || string(buffer) != "0123456789" {
		t.Errorf("in blocks: %q", buffer[:n])
	}

	upload := func(c blob.ModifiedAccessConditions) error {
		_, err := bc.UploadBuffer(t.Context(), []byte("2"), &blockblob.UploadBufferOptions{
			AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &c},
		})
		return err
	}
	err := upload(blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)})
	wantAzureCode(t, err, 409, bloberror.BlobAlreadyExists)
	err = upload(blob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(`"0x1"`))})
	wantAzureCode(t, err, 412, bloberror.ConditionNotMet)
	if err := upload(blob.ModifiedAccessConditions{IfMatch: head.ETag}); err != nil {
		t.Errorf("with the right ETag: %v", err)
	}
	_, err = bc.UploadBuffer(t.Context(), nil, &blockblob.UploadBufferOptions{
		Metadata: map[string]*string{"order-id": to.Ptr("7")}, // S3 takes a hyphen
	})
	wantAzureCode(t, err, 400, bloberror.InvalidMetadata)

	_, err = c.DownloadStream(t.Context(), "orders", "other", nil)
	wantAzureCode(t, err, 404, bloberror.BlobNotFound)
	_, err = c.ServiceClient().NewContainerClient("orders").NewBlobClient("other").GetProperties(t.Context(), nil)
	wantAzureCode(t, err, 404, bloberror.BlobNotFound)
	_, err = c.CreateContainer(t.Context(), "orders", nil)
	wantAzureCode(t, err, 409, bloberror.ContainerAlreadyExists)
	must(c.CreateContainer(t.Context(), "fresh", nil))(t)
	must(c.ServiceClient().NewContainerClient("fresh").GetProperties(t.Context(), nil))(t)
	_, err = bc.SetTier(t.Context(), blob.AccessTierCool, nil)
	wantAzureCode(t, err, 501, "NotImplemented")
	wantEffects(t, s, putOf("k", "0123456789", nil), putOf("k", "2", nil))
}

func TestBlobDeletesAreTheEffectsThatS3DeletesAre(t *testing.T) {
	s, p := newWorkingPort(t)
	c := blobClient(t, p)
	uploadBlob(t, c, "orders", "a", "1")
	must(c.DeleteBlob(t.Context(), "orders", "a", nil))(t)
	_, err := c.DeleteBlob(t.Context(), "orders", "a", nil)
	wantAzureCode(t, err, 404, bloberror.BlobNotFound)
	gone := capture.Effect{Kind: capture.ObjectDelete, Resource: "orders-bucket", Key: "a"}
	wantEffects(t, s, putOf("a", "1", nil), gone, gone)
}

func TestBlobCopyIsAPutOfTheCopiedBytes(t *testing.T) {
	s, p := newWorkingPort(t)
	c := blobClient(t, p)
	must(c.UploadBuffer(t.Context(), "orders", "a b", []byte("1"), &azblob.UploadBufferOptions{
		Metadata: map[string]*string{"m": to.Ptr("1")},
	}))(t)
	cc := c.ServiceClient().NewContainerClient("orders")
	from := cc.NewBlobClient("a b").URL()
	out := must(cc.NewBlobClient("started").StartCopyFromURL(t.Context(), from, nil))(t)
	if *out.CopyStatus != blob.CopyStatusTypeSuccess {
		t.Errorf("status is %s", *out.CopyStatus)
	}
	must(cc.NewBlobClient("copied").CopyFromURL(t.Context(), from, &blob.CopyFromURLOptions{
		Metadata: map[string]*string{"n": to.Ptr("2")},
	}))(t)
	_, err := cc.NewBlobClient("none").StartCopyFromURL(t.Context(), cc.NewBlobClient("none").URL(), nil)
	wantAzureCode(t, err, 404, bloberror.BlobNotFound)
	_, err = cc.NewBlobClient("none").StartCopyFromURL(t.Context(), "https://example.com/x", nil)
	wantAzureCode(t, err, 501, "NotImplemented")
	wantEffects(t, s,
		putOf("a b", "1", map[string]string{"metadata.m": "1"}),
		putOf("started", "1", map[string]string{"metadata.m": "1"}),
		putOf("copied", "1", map[string]string{"metadata.n": "2"}))
}

func TestBlobListsWithPrefixDelimiterAndPages(t *testing.T) {
	_, p := newWorkingPort(t)
	c := blobClient(t, p)
	for _, name := range []string{"b/1", "a", "b/2/x", "b/2/y", "c", "b/é <+"} {
		must(c.UploadBuffer(t.Context(), "orders", name, []byte(name), &azblob.UploadBufferOptions{
			Metadata: map[string]*string{"name_length": to.Ptr(fmt.Sprint(len(name)))},
		}))(t)
	}
	cc := c.ServiceClient().NewContainerClient("orders")
	for _, size := range []int32{1, 2, 1000} {
		var got []string
		flat := cc.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
			MaxResults: &size, Prefix: to.Ptr("b"), Include: container.ListBlobsInclude{Metadata: true},
		})
		for flat.More() {
			for _, b := range must(flat.NextPage(t.Context()))(t).Segment.BlobItems {
				got = append(got, *b.Name)
				length := *b.Properties.ContentLength
				if int(length) != len(*b.Name) || *b.Metadata["name_length"] != fmt.Sprint(length) {
					t.Errorf("%s: metadata %v, %d bytes", *b.Name, b.Metadata, length)
				}
			}
		}
		if diff := cmp.Diff([]string{"b/1", "b/2/x", "b/2/y", "b/é <+"}, got); diff != "" {
			t.Errorf("flat, %d a page: %s", size, diff)
		}
		got = nil
		folders := cc.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{
			MaxResults: &size, Prefix: to.Ptr("b/"),
		})
		for folders.More() {
			segment := must(folders.NextPage(t.Context()))(t).Segment
			for _, b := range segment.BlobItems {
				got = append(got, *b.Name)
			}
			for _, f := range segment.BlobPrefixes {
				got = append(got, "["+*f.Name+"]")
			}
		}
		if len(got) != 3 || !strings.Contains(strings.Join(got, " "), "[b/2/]") {
			t.Errorf("folders, %d a page: %q", size, got)
		}
	}
}

func TestBlockListsAreReadStrictly(t *testing.T) {
	tests := []struct {
		name, doc string
		want      []listedBlock
	}{
		{
			"in order", "<BlockList><Uncommitted>b</Uncommitted><Latest>a</Latest></BlockList>",
			[]listedBlock{{"Uncommitted", "b"}, {"Latest", "a"}},
		},
		{"none", `<?xml version="1.0"?><BlockList />`, nil},
	}
	for _, test := range tests {
		if got, err := parseBlockList([]byte(test.doc)); err != nil || !slices.Equal(test.want, got) {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
	for _, doc := range []string{"", "<BlockList>", "<Other/>", "<BlockList><Oldest>a</Oldest></BlockList>"} {
		if got, err := parseBlockList([]byte(doc)); err == nil {
			t.Errorf("%q is read as %v", doc, got)
		}
	}
}
