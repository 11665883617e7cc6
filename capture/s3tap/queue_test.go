package s3tap

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/lambdaevent"
)

func TestAnEventIsRecordedOnceHoweverItComes(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	put := s.put(t, "a.csv", "first")
	put.Sequencer = "617F08299329D189"
	body := event(t, put)
	asBridged := strings.NewReplacer(
		"tea+cups 50%.csv", "a.csv", `"size":5`, `"size":5`, "b1946ac92492d2347c6235b4d2611184", put.ETag,
		`"version-id":"v1",`, "",
	).Replace(bridged("Object Created", `"reason":"PutObject"`))
	var gets atomic.Int32
	s.setFault(onlyGets(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		gets.Add(1)
		next.ServeHTTP(w, r)
	}))
	tp := newTapper(t, s.options(rec), Tap{})
	handle(t, tp, body, body, bySNS(body))
	handle(t, tp, body, asBridged)
	if r := tp.report; r.Recorded != 1 || r.Duplicates != 4 || gets.Load() > 3 {
		t.Errorf("%d requests, report: %+v", gets.Load(), r)
	}
	rec.Close()
	rec = goOn(t, rec.dir) // as after a kill
	tp = newTapper(t, s.options(rec), Tap{Recording: rec.dir})
	if err := tp.readRecorded(t.Context()); err != nil {
		t.Fatal(err)
	}
	put.Sequencer = "617F08299329D18A"
	handle(t, tp, body, asBridged, event(t, put))
	if r := tp.report; r.Recorded != 1 || r.Duplicates != 2 {
		t.Errorf("report: %+v", r)
	}
	if all, _ := rec.read(t); len(all) != 2 {
		t.Errorf("recorded %+v", all)
	}
}

func TestAMessageThatComesAgainIsRecognisedAlsoWhereItsKeyWasRedacted(t *testing.T) {
	s, rec := newStore(t), newRedactingRecorder(t, filepath.Join(t.TempDir(), "s3.rec"))
	batch := batchOf(event(t, s.put(t, "in/jane@corp.com.csv", "first")))
	if _, err := newTapper(t, s.options(rec), Tap{}).handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	rec.Close()
	rec = newRedactingRecorder(t, rec.dir) // as after a kill, with another key
	tp := newTapper(t, s.options(rec), Tap{Recording: rec.dir})
	if err := tp.readRecorded(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := tp.handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	all, _ := rec.read(t)
	if len(all) != 1 || tp.report.Duplicates != 1 || strings.Contains(string(all[0].Event), "jane") {
		t.Errorf("recorded %s, report: %+v", all[0].Event, tp.report)
	}
}

func TestAnEventOfEventBridgeIsTranslatedOrKept(t *testing.T) {
	s := newStore(t)
	put := s.put(t, "tea+cups 50%.csv", "first")
	created := strings.NewReplacer("b1946ac92492d2347c6235b4d2611184", put.ETag, `"version-id":"v1",`, "").
		Replace(bridged("Object Created", `"reason":"CopyObject"`))
	deleted := bridged("Object Deleted", `"deletion-type":"Permanently Deleted"`)
	tagged := bridged("Object Tags Added", `"reason":"PutObjectTagging"`)

	rec := newRecorder(t)
	tp := newTapper(t, s.options(rec), Tap{})
	handle(t, tp, created, deleted, tagged, testMessage)
	if r := tp.report; r.Recorded != 2 || r.Translated != 2 || r.LeftOut[OtherEvent] != 1 || r.LeftOut[TestEvent] != 1 {
		t.Errorf("report: %+v", r)
	}
	all, content := rec.read(t)
	names := []string{"ObjectCreated:Copy", "ObjectRemoved:Delete"}
	for i, want := range []string{"first", "none"} {
		inv := all[i]
		if inv.Trigger != capture.TriggerS3 || inv.Source != "s3:eventbridge/tap" || contentOf(inv, content) != want ||
			parseMessage(inv.Event).records[0].Name != names[i] || !strings.Contains(string(inv.Event),
			`"tea%2Bcups+50%25.csv"`) {
			t.Errorf("recorded %+v: %s", inv, inv.Event)
		}
	}

	rec = newRecorder(t)
	tp = newTapper(t, s.options(rec), Tap{EventBridge: true})
	refused := handle(t, tp, created, deleted, tagged, event(t, put))
	if r := tp.report; r.Recorded != 3 || r.Translated != 0 || r.Refused != 1 || len(refused) != 1 {
		t.Errorf("refused %v, report: %+v", refused, r)
	}
	all, content = rec.read(t)
	for i, want := range []string{created, deleted, tagged} {
		if inv := all[i]; string(inv.Event) != want || inv.Format != "eventbridge" || inv.Source != "s3:queue/tap" {
			t.Errorf("recorded %+v: %s", inv, inv.Event)
		}
	}
	if contentOf(all[0], content) != "first" || len(all[1].Objects)+len(all[2].Objects) > 0 {
		t.Errorf("objects: %q", content)
	}
}

func TestWhatIsNoNotificationStaysInTheQueue(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	tp := newTapper(t, s.options(rec), Tap{})
	refused := handle(t, tp, "hello", event(t, s.put(t, "a", "a")), `{"Records":[]}`)
	if len(refused) != 2 || tp.report.Refused != 2 || tp.report.Recorded != 1 {
		t.Errorf("refused %v, report %+v", refused, tp.report)
	}
}

func TestEventsOfOneKeyAreRecordedInOrder(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	removed := func(key, sequencer string) string {
		return event(t, lambdaevent.S3Record{Name: "ObjectRemoved:Delete", Bucket: bucket, Key: key, Sequencer: sequencer})
	}
	tp := newTapper(t, s.options(rec), Tap{})
	handle(t, tp, removed("a", "0C"), removed("b", "02"), removed("a", "0B8"), removed("c", ""), removed("a",
		"0B"), removed("b", "01"))
	all, _ := rec.read(t)
	var got []string
	for _, inv := range all {
		r := parseMessage(inv.Event).records[0]
		got = append(got, r.Key+r.Sequencer)
	}
	if diff := cmp.Diff([]string{"a0B", "b01", "a0B8", "c", "a0C", "b02"}, got); diff != "" {
		t.Error(diff)
	}
}

// An event whose object cannot be read now holds back the later ones of its key, and no others.
func TestAnEventThatWaitsIsNotOvertaken(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	s.setVersioned(t)
	var bodies []string
	var first lambdaevent.S3Record
	for i, key := range []string{"a", "b", "a", "a"} {
		r := s.put(t, key, key)
		if i == 0 {
			first = r
		}
		bodies = append(bodies, event(t, r))
	}
	s.setFault(onlyGets(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Get("versionId") == first.VersionID {
			fail(w, http.StatusServiceUnavailable, "SlowDown")
			return
		}
		next.ServeHTTP(w, r)
	}))
	opts := s.options(rec)
	opts.Client = s3.New(s.client.Options(), func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	tp := newTapper(t, opts, Tap{})
	if refused := handle(t, tp, bodies...); len(refused) != 3 || tp.report.Recorded != 1 {
		t.Errorf("refused %v, report %+v", refused, tp.report)
	}
	s.setFault(nil)
	handle(t, tp, bodies[3], bodies[0], bodies[2])
	all, _ := rec.read(t)
	var got []string
	for _, inv := range all {
		got = append(got, string(inv.Event))
	}
	if want := []string{bodies[1], bodies[0], bodies[2], bodies[3]}; !slices.Equal(got, want) {
		t.Errorf("recorded %s, want %s", got, want)
	}
}
