package effects

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"tandem/capture"
)

func putS3(t *testing.T, c *s3.Client, bucket, key, body string) {
	t.Helper()
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)}
	if _, err := c.PutObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func getS3(t *testing.T, c *s3.Client, bucket, key string) string {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	return string(must(io.ReadAll(out.Body))(t))
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("error is %v, want code %s", err, code)
	}
}

func TestS3PutIsAnEffectWithWhatTheClientSaid(t *testing.T) {
	s, p := newWorkingPort(t)
	c := s3Client(t, p)
	for _, in := range []*s3.PutObjectInput{
		{Key: aws.String("plain"), Body: strings.NewReader(`{"a": 1.0}`)},
		{Key: aws.String("octets"), Body: strings.NewReader("x"), ContentType: aws.String("application/octet-stream")},
		{
			Key: aws.String("full"), Body: strings.NewReader("hi"), ContentType: aws.String("text/plain"),
			CacheControl: aws.String("no-cache"), ContentEncoding: aws.String("identity"), Tagging: aws.String("b=2&a=1"),
			Metadata: map[string]string{"Order-Id": "7"},
		},
		{Key: aws.String("empty")},
	} {
		in.Bucket = aws.String("orders-staging")
		if _, err := c.PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	put := capture.Effect{Kind: capture.ObjectPut, Resource: "orders-bucket"}
	plain, octets, full, empty := put, put, put, put
	plain.Key, plain.Body = "plain", jsonBody(`{"a":1.0}`)
	octets.Key, octets.Body = "octets", text("x")
	full.Key, full.Body = "full", text("hi")
	full.Attributes = map[string]string{
		"content-type": "text/plain", "cache-control": "no-cache", "content-encoding": "identity",
		"metadata.order-id": "7", "tags": "a=1&b=2",
	}
	empty.Key = "empty"
	wantEffects(t, s, plain, octets, full, empty)
}

func TestS3KeysArriveAsTheCallerWroteThem(t *testing.T) {
	for _, key := range []string{
		"a b.csv", "a+b", "ü/日本.csv", "100%", "a%2Fb", "/leading", "a//b", "a/../b", "?q=1&x#y", "trailing/", "~!*'()",
	} {
		t.Run(key, func(t *testing.T) {
			s, p := newWorkingPort(t)
			c := s3Client(t, p)
			putS3(t, c, "orders-staging", key, "x")
			if got := getS3(t, c, "orders-staging", key); got != "x" {
				t.Errorf("read %q", got)
			}
			wantEffects(t, s, capture.Effect{
				Kind: capture.ObjectPut, Resource: "orders-bucket", Key: key, Body: text("x"),
			})
		})
	}
}

func TestS3AnswersAsTheServiceWould(t *testing.T) {
	_, p := newWorkingPort(t)
	c := s3Client(t, p)
	bucket, key := aws.String("b-1"), aws.String("k")
	in := &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("0123456789")}
	put := must(c.PutObject(t.Context(), in))(t)
	const etag = `"781e5e245d69b566979b86e28d23f2c7"` // md5sum of 0123456789
	if *put.ETag != etag {
		t.Errorf("put: ETag is %s", *put.ETag)
	}

	head := must(c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key}))(t)
	if *head.ETag != etag || *head.ContentLength != 10 || *head.ContentType != "application/octet-stream" {
		t.Errorf("head: %s, %d bytes of %s", *head.ETag, *head.ContentLength, *head.ContentType)
	}
	middle := &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=2-4")}
	part := must(c.GetObject(t.Context(), middle))(t)
	defer part.Body.Close()
	if got := string(must(io.ReadAll(part.Body))(t)); got != "234" || *part.ContentRange != "bytes 2-4/10" {
		t.Errorf("range: %q, %s", got, *part.ContentRange)
	}
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=10-")})
	wantCode(t, err, "InvalidRange")
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("other")})
	var noKey *types.NoSuchKey
	if !errors.As(err, &noKey) {
		t.Errorf("missing key: %v", err)
	}
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("other")})
	var notFound *types.NotFound
	if !errors.As(err, &notFound) {
		t.Errorf("head of a missing key: %v", err)
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, IfMatch: aws.String(`"0"`)})
	wantCode(t, err, "PreconditionFailed")
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, IfNoneMatch: aws.String("*")})
	wantCode(t, err, "PreconditionFailed")
	_, err = c.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: bucket, Key: key})
	wantCode(t, err, "NotImplemented")
	if _, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
}

func TestS3DeletesAreEffectsWhetherOrNotThereWasAnObject(t *testing.T) {
	s, p := newWorkingPort(t)
	c := s3Client(t, p)
	putS3(t, c, "orders-staging", "a", "1")
	in := &s3.DeleteObjectInput{Bucket: aws.String("orders-staging"), Key: aws.String("a")}
	must(c.DeleteObject(t.Context(), in))(t)
	if _, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: in.Bucket, Key: in.Key}); err == nil {
		t.Error("the deleted object can be read")
	}
	many := &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("b <&> c")}, {Key: aws.String("d")}}}
	out := must(c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: in.Bucket, Delete: many}))(t)
	if len(out.Deleted) != 2 || *out.Deleted[0].Key != "b <&> c" || len(out.Errors) != 0 {
		t.Errorf("answer: %v %v", out.Deleted, out.Errors)
	}
	gone := func(key string) capture.Effect {
		return capture.Effect{Kind: capture.ObjectDelete, Resource: "orders-bucket", Key: key}
	}
	wantEffects(t, s,
		capture.Effect{Kind: capture.ObjectPut, Resource: "orders-bucket", Key: "a", Body: text("1")},
		gone("a"), gone("b <&> c"), gone("d"))
}

func TestS3CopyIsAPutOfTheCopiedBytes(t *testing.T) {
	s, p := newWorkingPort(t)
	c := s3Client(t, p)
	bucket := aws.String("orders-staging")
	must(c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("a b"), Body: strings.NewReader("1"), Metadata: map[string]string{"m": "1"},
	}))(t)
	must(c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("kept"), CopySource: aws.String("orders-staging/a%20b"),
	}))(t)
	must(c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("replaced"), CopySource: aws.String("/orders-staging/a%20b"),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String("text/csv"),
	}))(t)
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("none"), CopySource: aws.String("orders-staging/none"),
	})
	wantCode(t, err, "NoSuchKey")
	put := func(key string, attributes map[string]string) capture.Effect {
		return capture.Effect{
			Kind: capture.ObjectPut, Resource: "orders-bucket", Key: key, Body: text("1"), Attributes: attributes,
		}
	}
	meta := map[string]string{"metadata.m": "1"}
	wantEffects(t, s,
		put("a b", meta), put("kept", meta), put("replaced", map[string]string{"content-type": "text/csv"}))
}

func TestS3MultipartUploadIsOnePutAtItsEnd(t *testing.T) {
	s, p := newWorkingPort(t)
	c := s3Client(t, p)
	bucket, key := aws.String("orders-staging"), aws.String("big")
	created := must(c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: bucket, Key: key, ContentType: aws.String("text/plain"),
	}))(t)
	var done []types.CompletedPart
	for i, content := range []string{strings.Repeat("a", minPart), "tail"} {
		n := aws.Int32(int32(i + 1))
		part := must(c.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: bucket, Key: key, UploadId: created.UploadId, PartNumber: n, Body: strings.NewReader(content),
		}))(t)
		done = append(done, types.CompletedPart{PartNumber: n, ETag: part.ETag})
	}
	complete := func(parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: bucket, Key: key, UploadId: created.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	_, err := complete(done[1], done[0])
	wantCode(t, err, "EntityTooSmall")
	_, err = complete(types.CompletedPart{PartNumber: aws.Int32(1), ETag: done[1].ETag})
	wantCode(t, err, "InvalidPart")
	out := must(complete(done...))(t)
	if !strings.HasSuffix(*out.ETag, `-2"`) {
		t.Errorf("ETag is %s", *out.ETag)
	}
	_, err = complete(done...)
	wantCode(t, err, "NoSuchUpload")

	aborted := must(c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key}))(t)
	must(c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: aborted.UploadId,
	}))(t)
	wantEffects(t, s, capture.Effect{
		Kind: capture.ObjectPut, Resource: "orders-bucket", Key: "big", Body: text(strings.Repeat("a", minPart) + "tail"),
		Attributes: map[string]string{"content-type": "text/plain"},
	})
}

func TestS3ListsWithPrefixDelimiterAndPages(t *testing.T) {
	_, p := newWorkingPort(t)
	c := s3Client(t, p)
	for _, key := range []string{"b/1", "a", "b/2/x", "b/2/y", "b/3", "c", "b/é +"} {
		putS3(t, c, "orders-staging", key, key)
	}
	tests := []struct {
		name string
		in   s3.ListObjectsV2Input
		want string
	}{
		{"everything, by bytes", s3.ListObjectsV2Input{}, "a b/1 b/2/x b/2/y b/3 b/é + c"},
		{"a prefix", s3.ListObjectsV2Input{Prefix: aws.String("b/2")}, "b/2/x b/2/y"},
		{
			"folders once", s3.ListObjectsV2Input{Prefix: aws.String("b/"), Delimiter: aws.String("/")},
			"b/1 b/3 b/é + [b/2/]",
		},
		{"after a key", s3.ListObjectsV2Input{StartAfter: aws.String("b/3")}, "b/é + c"},
	}
	for _, test := range tests {
		for _, size := range []int32{1, 2, 1000} {
			t.Run(fmt.Sprint(test.name, size), func(t *testing.T) {
				in := test.in
				in.Bucket, in.MaxKeys = aws.String("orders-staging"), aws.Int32(size)
				var keys, prefixes []string
				for pages := s3.NewListObjectsV2Paginator(c, &in); pages.HasMorePages(); {
					out := must(pages.NextPage(t.Context()))(t)
					if n := len(out.Contents) + len(out.CommonPrefixes); n > int(size) || int(*out.KeyCount) != n {
						t.Errorf("a page of %d has %d, and says %d", size, n, *out.KeyCount)
					}
					for _, o := range out.Contents {
						keys = append(keys, *o.Key)
						if *o.Size != int64(len(*o.Key)) {
							t.Errorf("%s has %d bytes", *o.Key, *o.Size)
						}
					}
					for _, p := range out.CommonPrefixes {
						prefixes = append(prefixes, "["+*p.Prefix+"]")
					}
				}
				if diff := cmp.Diff(test.want, strings.Join(append(keys, prefixes...), " ")); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestS3TakesTheBucketFromTheHost(t *testing.T) {
	tests := []struct{ name, host, path, bucket, key string }{
		{"an address is no bucket", "127.0.0.1:80", "/b/k/x", "b", "k/x"},
		{"localhost is no bucket", "localhost:80", "/b/k", "b", "k"},
		{"under localhost", "b.localhost:80", "/k/x", "b", "k/x"},
		{"a real host", "b.s3.eu-west-1.amazonaws.com", "/k", "b", "k"},
		{"a real host without region", "my.b.s3.amazonaws.com", "/k", "my.b", "k"},
		{"a real path-style host", "s3.eu-west-1.amazonaws.com", "/b/k", "b", "k"},
		{"a plus is a plus", "h", "/b/a+b%20c%2Bd", "b", "a+b c+d"},
		{"a slash in front of the key", "h", "/b//k", "b", "/k"},
		{"only a bucket", "h", "/b", "b", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket, key, err := s3Path(test.host, test.path)
			if err != nil || bucket != test.bucket || key != test.key {
				t.Errorf("got %q %q %v", bucket, key, err)
			}
		})
	}
}

func TestS3ChecksWhatClientsSent(t *testing.T) {
	const sum = "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=" // SHA-256 of hello world
	const trailing = "b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:"
	const chunked = "5;chunk-signature=00\r\nhello\r\n6;chunk-signature=00\r\n world\r\n0;chunk-signature=00\r\n"
	tests := []struct {
		name   string
		body   string
		header map[string]string
		code   string // "" if "hello world" is stored
	}{
		{"signed chunks", chunked + "\r\n", map[string]string{
			"X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length": "11",
		}, ""},
		{"unsigned chunks with a trailer", trailing + "DUoRhQ==\r\n\r\n", map[string]string{
			"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Trailer": "x-amz-checksum-crc32",
		}, ""},
		{"a wrong trailer", trailing + "AAAAAA==\r\n\r\n", map[string]string{
			"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
		}, "BadDigest"},
		{"a wrong length", chunked + "\r\n", map[string]string{
			"X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length": "12",
		}, "IncompleteBody"},
		{"chunks that stop", "5\r\nhello\r\n", map[string]string{"Content-Encoding": "aws-chunked"}, "IncompleteBody"},
		{"crc32c", "hello world", map[string]string{"x-amz-checksum-crc32c": "yZRlqg=="}, ""},
		{"crc64nvme", "hello world", map[string]string{"x-amz-checksum-crc64nvme": "jSnVw/bqjr4="}, ""},
		{"sha1", "hello world", map[string]string{"x-amz-checksum-sha1": "Kq5sNclPz7QV2+lfQIuc6R7oRu0="}, ""},
		{"sha256", "hello world", map[string]string{"x-amz-checksum-sha256": sum}, ""},
		{"a wrong sha256", "hello", map[string]string{"x-amz-checksum-sha256": sum}, "BadDigest"},
		{"md5", "hello world", map[string]string{"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}, ""},
		{"a wrong md5", "hello", map[string]string{"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}, "BadDigest"},
		{"a wrong payload hash", "hello", map[string]string{
			"X-Amz-Content-Sha256": strings.Repeat("0", 64),
		}, "XAmzContentSHA256Mismatch"},
		{"an algorithm that is not known", "hello world", map[string]string{"x-amz-checksum-new": "AAAA"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, p := newWorkingPort(t)
			header := map[string]string{"X-Amz-Date": "20260101T000000Z"}
			for name, value := range test.header {
				header[name] = value
			}
			answer := request(t, p, "PUT", "/orders-staging/k", test.body, header)
			if test.code == "" {
				wantEffects(t, s, capture.Effect{
					Kind: capture.ObjectPut, Resource: "orders-bucket", Key: "k", Body: text("hello world"),
				})
			} else if wantEffects(t, s); !strings.Contains(answer, "<Code>"+test.code+"</Code>") {
				t.Errorf("answer: %s", answer)
			}
		})
	}
}

// request sends what no SDK does, and returns the answer's status and body.
func request(t *testing.T, p *Port, method, path, body string, header map[string]string) string {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), method, "http://"+p.Addr()+path, strings.NewReader(body)))(t)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp := must(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	return resp.Status + "\n" + string(must(io.ReadAll(resp.Body))(t))
}

// Over TLS the SDK sends a stream in chunks without signatures, and its checksum behind them.
func TestS3StreamsOfTheSDKAreTakenOutOfTheirChunks(t *testing.T) {
	s, p := newWorkingPort(t)
	var encoding atomic.Value
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			encoding.Store(r.Header.Get("Content-Encoding"))
		}
		p.http.Handler.ServeHTTP(w, r)
	}))
	defer secure.Close()
	cfg := awsConfig(t, p)
	c := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint, o.HTTPClient = &secure.URL, secure.Client()
	})
	content := strings.Repeat("stream ", 20_000)
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1,
	} {
		must(c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("orders-staging"), Key: aws.String("k"), ContentLength: aws.Int64(int64(len(content))),
			Body: io.MultiReader(strings.NewReader(content)), ChecksumAlgorithm: algorithm,
		}))(t)
		if got := getS3(t, c, "orders-staging", "k"); got != content {
			t.Errorf("%s: the object is read back differently", algorithm)
		}
	}
	if encoding.Load() != "aws-chunked" {
		t.Errorf("the SDK sent the encoding %q, and not what this test is about", encoding.Load())
	}
	put := capture.Effect{Kind: capture.ObjectPut, Resource: "orders-bucket", Key: "k", Body: text(content)}
	wantEffects(t, s, put, put, put)
}
