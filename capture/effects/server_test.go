package effects

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"tandem/capture"
)

// pinned is what a recording would have of an object, with a function that opens it.
func pinned(bucket, key, content string) (capture.Object, func(string) (io.ReadCloser, error)) {
	sum := sha256.Sum256([]byte(content))
	o := capture.Object{
		Bucket: bucket, Key: key, ContentType: "text/csv", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
	}
	return o, func(sha256 string) (io.ReadCloser, error) {
		if sha256 != o.SHA256 {
			return nil, fmt.Errorf("asked for %s", sha256)
		}
		return io.NopCloser(strings.NewReader(content)), nil
	}
}

func pin(s *Server, invocation, key, content string) capture.Object {
	o, open := pinned("orders-staging", key, content)
	s.Pin(&capture.Invocation{ID: invocation, Objects: []capture.Object{o}}, open)
	return o
}

func tagOf(invocation string) string {
	return capture.Mark{Run: "r", Invocation: invocation, Target: "lambda"}.String()
}

// get reads an object of the shop's bucket, and returns "404" if there is none.
func get(t *testing.T, p *Port, key string) string {
	t.Helper()
	answer := request(t, p, "GET", "/orders-staging/"+key, "", nil)
	status, body, _ := strings.Cut(answer, "\n")
	if status != "200 OK" {
		return status[:3]
	}
	return body
}

func put(t *testing.T, p *Port, key, content string) {
	t.Helper()
	if answer := request(t, p, "PUT", "/orders-staging/"+key, content, nil); !strings.HasPrefix(answer, "200") {
		t.Fatal(answer)
	}
}

func TestReadsSeeTheirOwnInvocationFirst(t *testing.T) {
	s := newServer(t, Options{})
	p, other := listen(t, s), listen(t, s)
	p.Begin(tagOf("one"))
	want := func(why, content string) {
		t.Helper()
		if got := get(t, p, "k"); got != content {
			t.Errorf("%s: read %q, want %q", why, got, content)
		}
	}
	want("nothing is there", "404")
	pin(s, "two", "k", "pinned for two")
	want("pinned for another invocation", "pinned for two")
	pin(s, "three", "k", "pinned for three")
	want("as it was before the recording, not later", "pinned for two")
	put(t, other, "k", "seed")
	want("written by somebody", "seed")
	pin(s, "one", "k", "pinned for one")
	want("pinned for this invocation", "pinned for one")
	request(t, other, "DELETE", "/orders-staging/k", "", nil)
	want("deleted by somebody", "pinned for one")
	put(t, p, "k", "own")
	want("written by this invocation", "own")
	put(t, other, "k", "seed again")
	want("written by somebody later", "own")
	request(t, p, "DELETE", "/orders-staging/k", "", nil)
	want("deleted by this invocation", "404")

	p.Begin(tagOf("two"))
	want("pinned for the invocation that is worked on now", "pinned for two")
	p.Begin(tagOf("four"))
	want("an invocation without a pin", "404")
	s.Unpin("two")
	p.Begin(tagOf("two"))
	want("no longer pinned", "404")
}

func TestWhatTheRecordingMadeIsNotThereBefore(t *testing.T) {
	s := newServer(t, Options{Resources: Resources{"invoices": {AWS: "s3://orders-staging"}}})
	p := listen(t, s)
	s.Pin(&capture.Invocation{ID: "maker", Outcome: &capture.Outcome{
		Effects: []capture.Effect{{Kind: capture.ObjectPut, Resource: "invoices", Key: "k"}},
	}}, nil)
	pin(s, "reader", "k", "made")
	p.Begin(tagOf("maker"))
	if got := get(t, p, "k"); got != "404" {
		t.Errorf("the invocation that makes the object finds %q", got)
	}
	p.Begin(tagOf("reader"))
	if got := get(t, p, "k"); got != "made" {
		t.Errorf("the invocation that read the object finds %q", got)
	}
}

func TestEachReplayStartsFromTheSameState(t *testing.T) {
	s := newServer(t, Options{})
	p, outside := listen(t, s), listen(t, s)
	tag := func(run, invocation string) string {
		return capture.Mark{Run: run, Invocation: invocation, Target: "lambda"}.String()
	}
	put(t, outside, "seeded", "seed")
	p.Begin(tag("first", "maker"))
	put(t, p, "made", "by the first replay")
	put(t, p, "seeded", "changed by the first replay")
	for _, tt := range []struct{ why, tag, made, seeded string }{
		{"another invocation of the replay", tag("first", "reader"), "by the first replay", "changed by the first replay"},
		{"the replay, gone on with", tag("first.1", "reader"), "by the first replay", "changed by the first replay"},
		{"the next replay", tag("second", "reader"), "404", "seed"},
		{"an invocation outside of replays", "some request", "404", "seed"},
	} {
		p.Begin(tt.tag)
		if made, seeded := get(t, p, "made"), get(t, p, "seeded"); made != tt.made || seeded != tt.seeded {
			t.Errorf("%s: reads %q and %q, want %q and %q", tt.why, made, seeded, tt.made, tt.seeded)
		}
	}
}

func TestAPinIsReadUnderItsAzureName(t *testing.T) {
	s := newServer(t, Options{})
	p := listen(t, s)
	p.Begin(tagOf("one"))
	o := pin(s, "one", "a b+c", "1,2\n3,4\n")
	if got := getBlob(t, blobClient(t, p), "orders", "a b+c"); got != "1,2\n3,4\n" {
		t.Errorf("read %q", got)
	}
	w, _ := s.Take(tagOf("one"))
	if diff := cmp.Diff(Work{Effects: []capture.Effect{}, Reads: []capture.Object{o}}, w); diff != "" {
		t.Error(diff)
	}
}

func TestAPinServesItsVersionAndItsRanges(t *testing.T) {
	s, p := newWorkingPort(t)
	o, open := pinned("orders-staging", "k", "0123456789")
	o.VersionID = "v1"
	s.Pin(&capture.Invocation{ID: "t", Objects: []capture.Object{o}}, open)
	c := s3Client(t, p)
	in := &s3.GetObjectInput{Bucket: aws.String("orders-staging"), Key: aws.String("k"), Range: aws.String("bytes=-3")}
	out := must(c.GetObject(t.Context(), in))(t)
	defer out.Body.Close()
	got := string(must(io.ReadAll(out.Body))(t))
	if got != "789" || *out.VersionId != "v1" || *out.ContentType != "text/csv" {
		t.Errorf("read %q of version %s", got, *out.VersionId)
	}
	put(t, p, "k", "new")
	in.Range, in.VersionId = nil, aws.String("v1")
	old := must(c.GetObject(t.Context(), in))(t)
	defer old.Body.Close()
	if got := string(must(io.ReadAll(old.Body))(t)); got != "0123456789" {
		t.Errorf("read %q of the old version", got)
	}
	in.VersionId = aws.String("v2")
	_, err := c.GetObject(t.Context(), in)
	wantCode(t, err, "NoSuchVersion")
}

func TestAPinWithOtherContentIsNeverAWholeAnswer(t *testing.T) {
	for _, content := range []string{"other content", "other", "other content of more bytes"} {
		s, p := newWorkingPort(t)
		o, _ := pinned("orders-staging", "k", "right content")
		s.Pin(&capture.Invocation{ID: "t", Objects: []capture.Object{o}}, func(string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(content)), nil
		})
		resp, err := http.Get("http://" + p.Addr() + "/orders-staging/k")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("%q is served as %q", content, "right content")
		}
	}
	s, p := newWorkingPort(t)
	o, _ := pinned("orders-staging", "k", "x")
	s.Pin(&capture.Invocation{ID: "t", Objects: []capture.Object{o}}, func(string) (io.ReadCloser, error) { return nil, errors.New("no such file") })
	if answer := request(t, p, "GET", "/orders-staging/k", "", nil); !strings.Contains(answer, "no such file") {
		t.Errorf("answer: %s", answer)
	}
}

func TestReadsAreListedOnceAndOnlyIfOthersWroteThem(t *testing.T) {
	s := newServer(t, Options{})
	p := listen(t, s)
	put(t, p, "seed", "abc")
	p.Begin("t")
	put(t, p, "own", "x")
	get(t, p, "own")
	get(t, p, "none")
	get(t, p, "seed")
	get(t, p, "seed")
	w, _ := s.Take("t")
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	want := []capture.Object{{Bucket: "orders-staging", Key: "seed", Size: 3, SHA256: abc}}
	if diff := cmp.Diff(want, w.Reads); diff != "" {
		t.Error(diff)
	}
	if got := s.Stats(); got.Reads != 3 || got.Effects != 2 || got.Unattributed != 1 {
		t.Errorf("stats: %+v", got)
	}
	content, ok := s.Object("orders-staging", "seed")
	if !ok || content.SHA256 != abc || content.Size != 3 {
		t.Errorf("object: %+v, %t", content, ok)
	}
	if got := string(must(io.ReadAll(must(content.Open())(t)))(t)); got != "abc" {
		t.Errorf("object has %q", got)
	}
	if _, ok := s.Object("orders-staging", "none"); ok {
		t.Error("an object that is not there is found")
	}
}

// A container without an S3 name comes back under a URL, which a recording can pin again.
func TestReadsOfAContainerWithoutABucketCanBePinned(t *testing.T) {
	s := newServer(t, Options{})
	p := listen(t, s)
	c := blobClient(t, p)
	uploadBlob(t, c, "loose", "k", "abc")
	p.Begin("t")
	getBlob(t, c, "loose", "k")
	w, _ := s.Take("t")
	if len(w.Reads) != 1 || w.Reads[0].Bucket != "azblob://devstoreaccount1/loose" {
		t.Fatalf("reads: %+v", w.Reads)
	}
	content, ok := s.Object(w.Reads[0].Bucket, "k")
	if !ok {
		t.Fatal("the object is not found by what it was read as")
	}
	again := newServer(t, Options{})
	again.Pin(&capture.Invocation{ID: "t", Objects: w.Reads}, func(string) (io.ReadCloser, error) { return content.Open() })
	if got := getBlob(t, blobClient(t, listen(t, again)), "loose", "k"); got != "abc" {
		t.Errorf("read %q", got)
	}
}

func TestEffectsBelongToWhatThePortWorksOn(t *testing.T) {
	s := newServer(t, Options{})
	const ports, rounds = 6, 25
	var g errgroup.Group
	for n := range ports {
		p := listen(t, s)
		g.Go(func() error {
			for i := range rounds {
				tag := fmt.Sprintf("%d-%d", n, i)
				p.Begin(tag)
				for _, step := range []string{"a", "b"} {
					req, err := http.NewRequest("PUT", "http://"+p.Addr()+"/orders-staging/shared", strings.NewReader(tag+step))
					if err != nil {
						return err
					}
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						return err
					}
					resp.Body.Close()
				}
				p.End()
				w, ok := s.Take(tag)
				want := []capture.Effect{putOf("shared", tag+"a", nil), putOf("shared", tag+"b", nil)}
				if diff := cmp.Diff(want, w.Effects); !ok || diff != "" {
					return fmt.Errorf("%s: %s", tag, diff)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if got := s.Stats(); got.Effects != 2*ports*rounds || got.Unattributed != 0 {
		t.Errorf("stats: %+v", got)
	}
}

func TestWorkIsKnownFromBeginUntilItIsTaken(t *testing.T) {
	s := newServer(t, Options{})
	p := listen(t, s)
	if _, ok := s.Take("t"); ok {
		t.Error("a tag is known that nobody worked on")
	}
	p.Begin("t")
	put(t, p, "a", "1")
	p.End()
	put(t, p, "b", "2")
	p.Begin("t")
	put(t, p, "c", "3")
	w, ok := s.Take("t")
	if want := []capture.Effect{putOf("a", "1", nil), putOf("c", "3", nil)}; !ok || !cmp.Equal(want, w.Effects) {
		t.Errorf("took %+v", w)
	}
	put(t, p, "late", "4")
	if w, ok := s.Take("t"); ok {
		t.Errorf("took %+v again", w)
	}
	if got := s.Stats(); got.Effects != 4 || got.Unattributed != 2 {
		t.Errorf("stats: %+v", got)
	}
	p.Begin("idle")
	if w, ok := s.Take("idle"); !ok || w.Effects == nil || len(w.Effects) != 0 {
		t.Errorf("work without effects is %+v, %t", w, ok)
	}
}

func TestOldestWorkIsDroppedBeyondMaxTags(t *testing.T) {
	s := newServer(t, Options{MaxTags: 2})
	first, p := listen(t, s), listen(t, s)
	first.Begin("1")
	p.Begin("2")
	p.Begin("3")
	put(t, first, "late", "x")
	if _, ok := s.Take("1"); ok {
		t.Error("what was dropped comes back, without what it did before")
	}
	for _, tag := range []string{"2", "3"} {
		if _, ok := s.Take(tag); !ok {
			t.Errorf("%s is not known", tag)
		}
	}
	if got := s.Stats(); got.Dropped != 1 || got.Unattributed != 1 {
		t.Errorf("stats: %+v", got)
	}
}

func TestWhatIsNotImplementedIsToldAndKept(t *testing.T) {
	signed := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/" + service + "/aws4_request, Signature=0"
	}
	const s3Form, azureForm = "<Error><Code>NotImplemented</Code>", "<Error><Code>NotImplemented</Code>"
	type header map[string]string
	tests := []struct {
		name, method, path, body string
		header                   header
		operation, form          string
	}{
		{
			"another JSON service", "POST", "/", "{}", header{"X-Amz-Target": "DynamoDB_20120810.PutItem"},
			"DynamoDB_20120810.PutItem", `"__type":"NotImplemented"`,
		},
		{
			"a queue operation", "POST", "/", "{}", header{"X-Amz-Target": "AmazonSQS.PurgeQueue"},
			"SQS PurgeQueue", `"__type":"com.amazonaws.sqs#NotImplemented"`,
		},
		{
			"the query protocol", "POST", "/", "Action=Publish",
			header{"Content-Type": "application/x-www-form-urlencoded", "Authorization": signed("sns")},
			"sns Publish in the query protocol", "<ErrorResponse><Error><Type>Sender</Type><Code>NotImplemented</Code>",
		},
		{
			"a REST service", "POST", "/2015-03-31/functions/f/invocations", "{}", header{"Authorization": signed("lambda")},
			"lambda POST /2015-03-31/functions/f/invocations", `"__type":"NotImplemented"`,
		},
		{"all buckets", "GET", "/", "", nil, "S3 GET /", s3Form},
		{"a bucket's policy", "GET", "/b?policy", "", nil, "S3 GET bucket with ?policy", s3Form},
		{"an object's tags", "PUT", "/b/k?tagging", "x", nil, "S3 PUT object with ?tagging", s3Form},
		{"a version's deletion", "DELETE", "/b/k?versionId=1", "", nil, "S3 DELETE object with ?versionId", s3Form},
		{
			"a bucket called blob", "GET", "/blob/k?acl", "", header{"X-Amz-Date": "d"},
			"S3 GET object with ?acl", s3Form,
		},
		{
			"an append blob", "PUT", "/blob/a/c/k", "", header{"X-Ms-Blob-Type": "AppendBlob"},
			"Blob PUT blob as AppendBlob", azureForm,
		},
		{
			"a container's deletion", "DELETE", "/blob/a/c?restype=container", "", nil,
			"Blob DELETE container restype=container", azureForm,
		},
		{"all queues", "GET", "/queue/a?comp=list", "", nil, "Queue GET account comp=list", azureForm},
		{
			"a message's update", "PUT", "/queue/a/q/messages/1?popreceipt=x&visibilitytimeout=0", "", nil,
			"Queue PUT messages", azureForm,
		},
	}
	s, p := newWorkingPort(t)
	var operations []string
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := request(t, p, test.method, test.path, test.body, test.header)
			told := strings.Contains(answer, "does not implement "+test.operation)
			if !strings.HasPrefix(answer, "501 ") || !strings.Contains(answer, test.form) || !told {
				t.Errorf("answer: %s", answer)
			}
		})
		if len(operations) == 0 || operations[len(operations)-1] != test.operation {
			operations = append(operations, test.operation)
		}
	}
	stats := s.Stats()
	if diff := cmp.Diff(operations, stats.UnsupportedOperations); diff != "" || stats.Unsupported != int64(len(tests)) {
		t.Errorf("%d: %s", stats.Unsupported, diff)
	}
	wantEffects(t, s)
}

func TestALargeRequestIsReadBeforeItIsRefused(t *testing.T) {
	s, p := newWorkingPort(t)
	body := strings.Repeat("x", 4<<20)
	answer := request(t, p, "PUT", "/blob/a/c/k", body, map[string]string{"X-Ms-Blob-Type": "PageBlob"})
	if !strings.HasPrefix(answer, "501 ") {
		t.Errorf("answer: %s", answer)
	}
	wantEffects(t, s)
}

func TestBodiesBeyondTheLimitAreRefusedInTheServicesForm(t *testing.T) {
	s := newServer(t, Options{MaxBody: 100})
	p := listen(t, s)
	p.Begin("t")
	body := strings.Repeat("x", 101)
	tests := []struct {
		name, method, path string
		header             map[string]string
		want               string
	}{
		{"S3", "PUT", "/b/k", nil, "<Code>EntityTooLarge</Code>"},
		{
			"SQS", "POST", "/", map[string]string{"X-Amz-Target": "AmazonSQS.SendMessage"},
			`"__type":"com.amazonaws.sqs#EntityTooLarge"`,
		},
		{
			"Blob", "PUT", "/blob/a/c/k", map[string]string{"X-Ms-Blob-Type": "BlockBlob"},
			"<Code>RequestBodyTooLarge</Code>",
		},
		{"Queue", "POST", "/queue/a/q/messages", nil, "<Code>RequestBodyTooLarge</Code>"},
	}
	for _, test := range tests {
		answer := request(t, p, test.method, test.path, body, test.header)
		if !strings.HasPrefix(answer, "413 ") || !strings.Contains(answer, test.want) {
			t.Errorf("%s: %s", test.name, answer)
		}
	}
	put(t, p, "k", body[:100])
	wantEffects(t, s, putOf("k", body[:100], nil))
}

func TestARequestThatIsCutOffHasNoEffect(t *testing.T) {
	s, p := newWorkingPort(t)
	for _, head := range []string{
		"PUT /orders-staging/k HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf",
		"PUT /orders-staging/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"POST /queue/a/mail/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n" +
			"<QueueMessage><MessageText>x</MessageText></QueueMessage>",
	} {
		conn := must(net.Dial("tcp", p.Addr()))(t)
		must(io.WriteString(conn, head))(t)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if answer := must(io.ReadAll(conn))(t); len(answer) > 0 {
			t.Errorf("answer: %s", answer)
		}
		conn.Close()
	}
	wantEffects(t, s)
	if got := s.Stats().Effects; got != 0 {
		t.Errorf("%d effects", got)
	}
}

func TestClientTakesWhatTheServerRecorded(t *testing.T) {
	s, p := newWorkingPort(t)
	control := httptest.NewServer(s.Handler())
	defer control.Close()
	p.Begin("a/b c+d/é/0")
	request(t, p, "PUT", "/orders-staging/k", `{"html":"<b>&</b>","n":1.0}`, nil)
	request(t, p, "PUT", "/orders-staging/raw", "\xff\x00", nil)
	c := &Client{URL: control.URL + "/"}
	w := must(c.Take(t.Context(), "a/b c+d/é/0"))(t)
	want := []capture.Effect{
		{Kind: capture.ObjectPut, Resource: "orders-bucket", Key: "k", Body: jsonBody(`{"html":"<b>&</b>","n":1.0}`)},
		{Kind: capture.ObjectPut, Resource: "orders-bucket", Key: "raw", Body: &capture.Body{Base64: []byte("\xff\x00")}},
	}
	if diff := cmp.Diff(want, w.Effects); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Take(t.Context(), "a/b c+d/é/0"); !errors.Is(err, ErrUnknownTag) {
		t.Errorf("taken twice: %v", err)
	}
	if w := must(c.Take(t.Context(), "t"))(t); w.Effects == nil {
		t.Error("work without effects has a nil list")
	}
	control.Close()
	if _, err := c.Take(t.Context(), "t"); err == nil || errors.Is(err, ErrUnknownTag) {
		t.Errorf("a server that is gone: %v", err)
	}
}

func TestCloseEndsAllPorts(t *testing.T) {
	s := newServer(t, Options{})
	p, q := listen(t, s), listen(t, s)
	put(t, p, "k", "x")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, port := range []*Port{p, q} {
		if conn, err := net.Dial("tcp", port.Addr()); err == nil {
			conn.Close()
			t.Errorf("%s still listens", port.Addr())
		}
	}
	if _, err := s.Listen(); err == nil {
		t.Error("a closed server opens a port")
	}
}

func TestRangesAreHTTPs(t *testing.T) {
	tests := []struct {
		name, header string
		size         int64
		want         span
		partial, ok  bool
	}{
		{"none", "", 10, span{}, false, true},
		{"closed", "bytes=0-0", 10, span{0, 1}, true, true},
		{"beyond the end", "bytes=8-99", 10, span{8, 2}, true, true},
		{"open", "bytes=3-", 10, span{3, 7}, true, true},
		{"the end", "bytes=-3", 10, span{7, 3}, true, true},
		{"more than there is", "bytes=-30", 10, span{0, 10}, true, true},
		{"behind the end", "bytes=10-", 10, span{}, false, false},
		{"of nothing", "bytes=0-", 0, span{}, false, false},
		{"no bytes", "bytes=-0", 10, span{}, false, false},
		{"backwards", "bytes=5-2", 10, span{}, false, true},
		{"several", "bytes=0-1,3-4", 10, span{}, false, true},
		{"another unit", "lines=0-1", 10, span{}, false, true},
	}
	for _, test := range tests {
		got, partial, err := parseRange(test.header, test.size)
		if got != test.want || partial != test.partial || (err == nil) != test.ok {
			t.Errorf("%s: %v %t %v", test.name, got, partial, err)
		}
	}
}
