package s3tap

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"tandem/capture"
	"tandem/capture/drain"
	"tandem/capture/lambdaevent"
)

func newTapper(t *testing.T, opts Options, tap Tap) *tapper {
	t.Helper()
	c, err := newCapturing(opts)
	if err != nil {
		t.Fatal(err)
	}
	tap.Drain.Queue.Name = "tap"
	tp := &tapper{capturing: c, tap: tap}
	t.Cleanup(func() { tp.recorded.Close() })
	return tp
}

func batchOf(bodies ...string) []types.Message {
	var batch []types.Message
	for _, body := range bodies {
		batch = append(batch, types.Message{MessageId: aws.String(sequencer()), Body: aws.String(body)})
	}
	return batch
}

// handle hands bodies to tp as one batch and returns why any were refused.
func handle(t *testing.T, tp *tapper, bodies ...string) []drain.Refusal {
	t.Helper()
	refusals, err := tp.handle(t.Context(), batchOf(bodies...))
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, tp.report)
	return refusals
}

func TestAnObjectIsPinnedByteForByteWhateverItsKey(t *testing.T) {
	keys := map[string]string{ // key to why
		"plain.csv":                             "",
		"summer sale 2025.csv":                  "events write a space as +",
		"tea+cups.csv":                          "events write + as %2B",
		"tea%2Bcups.csv":                        "an escape that is none",
		"incoming/Frühjahr/茶 🍵.csv":             "not ASCII",
		"a/b/c/../d//e/.csv":                    "paths are not cleaned",
		"?versionId=1&x=#y.csv":                 "what URLs have a meaning for",
		`quotes'"<>&\.csv`:                      "what JSON and XML have a meaning for",
		strings.Repeat("k", 1020) + ".csv":      "the longest key",
		strings.Repeat("ü", 500) + "/empty.csv": "long when it is encoded",
	}
	s, rec := newStore(t), newRecorder(t)
	tp := newTapper(t, s.options(rec), Tap{})
	for key, why := range keys {
		content := "content of " + key
		if strings.HasSuffix(key, "empty.csv") {
			content = ""
		}
		body := event(t, s.put(t, key, content))
		if refused := handle(t, tp, body); len(refused) > 0 {
			t.Errorf("%q (%s): %v", key, why, refused)
		}
	}
	all, content := rec.read(t)
	if len(all) != len(keys) {
		t.Errorf("%d of %d are recorded", len(all), len(keys))
	}
	for _, inv := range all {
		if len(inv.Objects) != 1 {
			t.Errorf("%s: no object", inv.Event)
			continue
		}
		o := inv.Objects[0]
		want := "content of " + o.Key
		if strings.HasSuffix(o.Key, "empty.csv") {
			want = ""
		}
		if _, ok := keys[o.Key]; !ok || contentOf(inv, content) != want || o.ContentType != "text/csv" ||
			o.Bucket != bucket {
			t.Errorf("recorded %+v, %q", o, contentOf(inv, content))
		}
		if inv.Trigger != capture.TriggerS3 || inv.Source != "s3:queue/tap" || inv.Time.Hour() != 12 ||
			inv.Function != "import" {
			t.Errorf("recorded %+v", inv)
		}
	}
}

func TestAnObjectThatIsCompressedStaysSo(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	const content = "\x1f\x8b not really, which nobody may notice"
	out, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("a.gz"), Body: strings.NewReader(content),
		ContentEncoding: aws.String("gzip"),
	})
	if err != nil {
		t.Fatal(err)
	}
	tp := newTapper(t, s.options(rec), Tap{})
	handle(t, tp, event(t, lambdaevent.S3Record{
		Name: "ObjectCreated:Put", Bucket: bucket, Key: "a.gz", Size: int64(len(content)), ETag: unquote(*out.ETag),
		Sequencer: "1",
	}))
	all, contents := rec.read(t)
	if len(all) != 1 || contentOf(all[0], contents) != content {
		t.Errorf("recorded %+v", all)
	}
}

func TestAnObjectIsTheOneThatTheEventIsAbout(t *testing.T) {
	for _, c := range []struct {
		name      string
		versioned bool
		after     func(t *testing.T, s *store) // happens between the event and the capture
		want      string
		reason    Reason
	}{
		{name: "overwritten", after: func(t *testing.T, s *store) { s.put(t, "a", "other") }, want: "none",
			reason: Changed},
		{name: "deleted", after: func(t *testing.T, s *store) { s.delete(t, "a") }, want: "none", reason: Gone},
		{name: "overwritten, with versions", versioned: true,
			after: func(t *testing.T, s *store) { s.put(t, "a", "other") }, want: "first"},
		{name: "behind a delete marker", versioned: true, after: func(t *testing.T, s *store) { s.delete(t, "a") },
			want: "first"},
		{name: "overwritten, as S3 says it", after: failing(412, "PreconditionFailed"), want: "none", reason: Changed},
		{name: "archived", after: failing(http.StatusForbidden, "InvalidObjectState"), want: "none", reason: Archived},
		{name: "key disabled", after: failing(http.StatusBadRequest, "KMS.DisabledException"), want: "none",
			reason: Encrypted},
		{name: "no such version can be", after: failing(http.StatusBadRequest, "InvalidArgument"), want: "none",
			reason: Rejected},
		{name: "too large", after: func(t *testing.T, s *store) {}, want: "none", reason: TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, rec := newStore(t), newRecorder(t)
			if c.versioned {
				s.setVersioned(t)
			}
			body := event(t, s.put(t, "a", "first"))
			c.after(t, s)
			opts := s.options(rec)
			if c.reason == TooLarge {
				opts.MaxObjectSize = 4
			}
			tp := newTapper(t, opts, Tap{})
			if refused := handle(t, tp, body); len(refused) > 0 {
				t.Fatal(refused)
			}
			all, content := rec.read(t)
			if len(all) != 1 || contentOf(all[0], content) != c.want || string(all[0].Event) != body {
				t.Errorf("recorded %+v, %q", all[0], content)
			}
			if missing := tp.report.Objects.Missing; c.reason != "" && missing[c.reason] != 1 || c.reason == "" &&
				len(missing) > 0 {
				t.Errorf("missing: %v", missing)
			}
		})
	}
}

func failing(status int, code string) func(*testing.T, *store) {
	return func(_ *testing.T, s *store) {
		s.setFault(onlyGets(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { fail(w, status, code) }))
	}
}

// Faults of the store never lead to an object that is not whole, nor to an invocation that lacks an object which
// could be had later.
func TestFaultsOfTheStore(t *testing.T) {
	const content = "0123456789012345678901234567890123456789"
	truncate := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		header, body := record(next, r)
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.Write(body[:len(body)/2]) //nolint:errcheck // the client may be gone
		panic(http.ErrAbortHandler)
	}
	shorten := func(w http.ResponseWriter, r *http.Request, next http.Handler) { // and look as if it were all
		header, body := record(next, r)
		w.Header().Set("ETag", header.Get("ETag"))
		w.Write(body[:len(body)/2]) //nolint:errcheck
	}
	garble := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		header, body := record(next, r)
		w.Header().Set("ETag", header.Get("ETag"))
		body[3] ^= 1
		w.Write(body) //nolint:errcheck
	}
	checksum := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		_, body := record(next, r)
		w.Header().Set("X-Amz-Checksum-Crc32", "AAAAAA==")
		w.Write(body) //nolint:errcheck
	}
	stall := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		header, body := record(next, r)
		w.Header().Set("Content-Length", header.Get("Content-Length"))
		w.Write(body[:1]) //nolint:errcheck
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	unavailable := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		fail(w, http.StatusServiceUnavailable, "SlowDown")
	}
	for _, c := range []struct {
		name    string
		fault   func(http.ResponseWriter, *http.Request, http.Handler)
		times   int32 // 0 for always
		want    string
		waiting int64
		reason  Reason
	}{
		{name: "breaks off once", fault: truncate, times: 1, want: content},
		{name: "always breaks off", fault: truncate, waiting: 1},
		{name: "ends early once", fault: shorten, times: 1, want: content},
		{name: "always ends early", fault: shorten, want: "none", reason: Damaged},
		{name: "wrong once", fault: garble, times: 1, want: content},
		{name: "always wrong", fault: garble, want: "none", reason: Damaged},
		{name: "the checksum of S3 is wrong once", fault: checksum, times: 1, want: content},
		{name: "the checksum of S3 is always wrong", fault: checksum, want: "none", reason: Damaged},
		{name: "stalls once", fault: stall, times: 1, want: content},
		{name: "always stalls", fault: stall, waiting: 1},
		{name: "overloaded once", fault: unavailable, times: 1, want: content},
		{name: "always overloaded", fault: unavailable, waiting: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, rec := newStore(t), newRecorder(t)
			body := event(t, s.put(t, "a", content))
			var n atomic.Int32
			s.setFault(onlyGets(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if n.Add(1) <= c.times || c.times == 0 {
					c.fault(w, r, next)
					return
				}
				next.ServeHTTP(w, r)
			}))
			opts := s.options(rec)
			opts.Client = s3.New(s.client.Options(), func(o *s3.Options) { o.RetryMaxAttempts = 2 })
			if strings.Contains(c.name, "stalls") {
				opts.Stall = 300 * time.Millisecond
			}
			tp := newTapper(t, opts, Tap{})
			refused := handle(t, tp, body)
			if int64(len(refused)) != c.waiting || tp.report.Waiting != c.waiting ||
				tp.report.Objects.Missing[c.reason] != count(c.reason) {
				t.Errorf("refused %v, report %+v", refused, tp.report)
			}
			if c.waiting > 0 { // the store is back, and so is the message
				s.setFault(nil)
				handle(t, tp, body)
				c.want = content
			}
			all, contents := rec.read(t)
			if len(all) != 1 || contentOf(all[0], contents) != c.want {
				t.Errorf("recorded %+v", all)
			}
		})
	}
}

func count(r Reason) int64 {
	if r == "" {
		return 0
	}
	return 1
}

func TestWrongCredentialsEndTheCapture(t *testing.T) {
	for _, code := range []string{"ExpiredToken", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "PermanentRedirect"} {
		s, rec := newStore(t), newRecorder(t)
		body := event(t, s.put(t, "a", "first"))
		failing(http.StatusForbidden, code)(t, s)
		tp := newTapper(t, s.options(rec), Tap{})
		_, err := tp.handle(t.Context(), batchOf(body))
		if err == nil || errors.Is(err, errUnavailable) || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v", code, err)
		}
		checkSum(t, tp.report)
		if all, _ := rec.read(t); len(all) > 0 {
			t.Errorf("%s: recorded %+v", code, all)
		}
	}
}

func TestADenialEndsTheCaptureUntilAnObjectWasRead(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	first, second := event(t, s.put(t, "a", "first")), event(t, s.put(t, "b", "second"))
	failing(http.StatusForbidden, "AccessDenied")(t, s)
	tp := newTapper(t, s.options(rec), Tap{})
	if _, err := tp.handle(t.Context(), batchOf(first)); err == nil || !strings.Contains(err.Error(), "s3:GetObject") {
		t.Errorf("%v", err)
	}
	if all, _ := rec.read(t); len(all) > 0 {
		t.Errorf("recorded %+v", all)
	}

	rec = newRecorder(t)
	tp = newTapper(t, s.options(rec), Tap{})
	s.setFault(nil)
	handle(t, tp, first)
	failing(http.StatusForbidden, "AccessDenied")(t, s)
	handle(t, tp, second)
	checkSum(t, tp.report)
	if o := tp.report.Objects; o.Pinned != 1 || o.Missing[Denied] != 1 {
		t.Errorf("%+v", tp.report)
	}
	if all, _ := rec.read(t); len(all) != 2 {
		t.Errorf("recorded %+v", all)
	}
}
