package s3tap

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
)

// list makes events of a bucket and checks that all that was listed is accounted for.
func list(t *testing.T, opts Options, l Listing) *Report {
	t.Helper()
	l.Bucket = bucket
	r, err := List(t.Context(), opts, l)
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, r)
	return r
}

// keysOf returns the decoded keys of what is recorded, with versions if there are.
func keysOf(all []*capture.Invocation) (keys []string) {
	for _, inv := range all {
		for _, r := range parseMessage(inv.Event).records {
			keys = append(keys, r.Key)
		}
	}
	return keys
}

func TestABucketIsListedOverPages(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	const n = 5000
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("in/%05d.csv", i))
		_, err := s.backend.PutObject(bucket, want[i], map[string]string{}, strings.NewReader("a"), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	s.put(t, "elsewhere/a.csv", "a")
	var pages atomic.Int32
	s.setFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Query().Has("list-type") {
			pages.Add(1)
		}
		next.ServeHTTP(w, r)
	})
	opts := s.options(rec)
	opts.NoObjects = true
	report := list(t, opts, Listing{Prefix: "in/", MaxObjects: 3301})
	if report.Recorded != 3301 {
		t.Errorf("report: %+v", report)
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	rec = goOn(t, rec.dir)
	opts.Sink = rec
	report = list(t, opts, Listing{Prefix: "in/", Recording: rec.dir})
	if report.Recorded != 1699 || pages.Load() != 4+2 {
		t.Errorf("%d pages, report: %+v", pages.Load(), report)
	}
	all, _ := rec.read(t)
	if diff := cmp.Diff(want, keysOf(all)); diff != "" {
		t.Error(diff)
	}
	for i, inv := range all {
		if inv.Source != "s3:listing/catalog/in/" || inv.Time.IsZero() {
			t.Fatalf("invocation %d: %+v", i, inv)
		}
	}
}

func TestAListedObjectIsAnEventOfS3(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	s.setVersioned(t)
	put := s.put(t, "a b.csv", "first")
	list(t, s.options(rec), Listing{})
	all, _ := rec.read(t)
	if len(all) != 1 || all[0].Trigger != capture.TriggerS3 {
		t.Fatalf("recorded %+v", all)
	}
	r := parseMessage(all[0].Event).records[0]
	put.Sequencer, put.Time, r.Time = "", time.Time{}, time.Time{}
	if diff := cmp.Diff(put, r); diff != "" {
		t.Errorf("(-put +listed):\n%s", diff)
	}
}

func TestAListingIsOfWhatWasAskedFor(t *testing.T) {
	s := newStore(t)
	for _, key := range []string{"a.csv", "b.csv", "b.txt"} {
		s.put(t, key, key)
	}
	now := time.Now()
	for _, c := range []struct {
		listing Listing
		want    []string
		leftOut map[LeftOut]int64
	}{
		{Listing{}, []string{"a.csv", "b.csv", "b.txt"}, map[LeftOut]int64{}},
		{Listing{Suffix: ".csv"}, []string{"a.csv", "b.csv"}, map[LeftOut]int64{OtherSuffix: 1}},
		{Listing{Prefix: "b", Suffix: ".csv"}, []string{"b.csv"}, map[LeftOut]int64{OtherSuffix: 1}},
		{Listing{Since: now.Add(time.Hour)}, nil, map[LeftOut]int64{OutsideTime: 3}},
		{Listing{Until: now.Add(-time.Hour)}, nil, map[LeftOut]int64{OutsideTime: 3}},
		{Listing{Since: now.Add(-time.Hour), Until: now.Add(time.Hour)}, []string{"a.csv", "b.csv", "b.txt"},
			map[LeftOut]int64{}},
		{Listing{MaxObjects: 2}, []string{"a.csv", "b.csv"}, map[LeftOut]int64{}},
	} {
		rec := newRecorder(t)
		opts := s.options(rec)
		opts.NoObjects = true
		report := list(t, opts, c.listing)
		all, content := rec.read(t)
		if diff := cmp.Diff(c.want, keysOf(all)); diff != "" || len(content) > 0 {
			t.Errorf("%+v: %s", c.listing, diff)
		}
		if diff := cmp.Diff(c.leftOut, report.LeftOut); diff != "" {
			t.Errorf("%+v: left out: %s", c.listing, diff)
		}
	}
}

// However often it is stopped, and wherever: also between two versions of one key.
func TestVersionsAreListedFromTheOldestOn(t *testing.T) {
	s := newStore(t)
	s.setVersioned(t)
	var want []string
	for _, key := range []string{"a", "b", "bb", "c"} {
		for i := range 3 {
			s.put(t, key, fmt.Sprint(key, i))
			want = append(want, fmt.Sprint(key, i))
		}
	}
	s.delete(t, "b")
	s.setFault(pageVersions)
	for _, atOnce := range []int64{0, 1, 2, 5} {
		rec := newRecorder(t)
		var got []string
		for {
			report := list(t, s.options(rec), Listing{Versions: true, MaxObjects: atOnce, Recording: rec.dir, pageSize: 2})
			if atOnce == 0 && report.LeftOut[DeleteMarker] != 1 {
				t.Errorf("report: %+v", report)
			}
			all, content := rec.read(t)
			got = nil
			for _, inv := range all {
				got = append(got, contentOf(inv, content))
			}
			if report.Recorded == 0 || atOnce == 0 {
				break
			}
			rec = goOn(t, rec.dir)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d at once: %s", atOnce, diff)
		}
	}
}

// A versionList is what ListObjectVersions answers.
type versionList struct {
	IsTruncated         bool
	NextKeyMarker       string
	NextVersionIdMarker string
	Version             []versionEntry
	DeleteMarker        []versionEntry
}

type versionEntry struct {
	Key, VersionId, ETag string
	Size                 int
	LastModified         string
}

// pageVersions is how S3 lists versions: those of a key from the newest on, and after a key and one of its versions
// where both are given. gofakes3 begins at the marker. Here, the server's own answer without pages is cut.
func pageVersions(w http.ResponseWriter, r *http.Request, next http.Handler) {
	query := r.URL.Query()
	if !query.Has("versions") {
		next.ServeHTTP(w, r)
		return
	}
	r.URL.RawQuery = "versions&prefix=" + url.QueryEscape(query.Get("prefix"))
	_, body := record(next, r)
	var list versionList
	if err := xml.Unmarshal(body, &list); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	slices.Reverse(list.Version) // gofakes3 has the oldest first
	slices.SortStableFunc(list.Version, func(a, b versionEntry) int { return strings.Compare(a.Key, b.Key) })
	key, version := query.Get("key-marker"), query.Get("version-id-marker")
	passed := version == ""
	list.Version = slices.DeleteFunc(list.Version, func(v versionEntry) bool {
		before := v.Key < key || v.Key == key && !passed || v.Key == key && version == ""
		passed = passed || v.Key == key && v.VersionId == version
		return before
	})
	if n, _ := strconv.Atoi(query.Get("max-keys")); n > 0 && len(list.Version) > n {
		list.Version = list.Version[:n]
		list.IsTruncated, list.NextKeyMarker, list.NextVersionIdMarker = true, list.Version[n-1].Key,
			list.Version[n-1].VersionId
		list.DeleteMarker = nil // they are on the last page here
	}
	xml.NewEncoder(w).Encode(list) //nolint:errcheck // the client may be gone
}

func TestAListingThatFailsGoesOnWhereItWas(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprintf("%02d", i))
		s.put(t, want[i], want[i])
	}
	var n atomic.Int32
	s.setFault(onlyGets(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if n.Add(1) > 20 {
			fail(w, http.StatusForbidden, "ExpiredToken")
			return
		}
		next.ServeHTTP(w, r)
	}))
	report, err := List(t.Context(), s.options(rec), Listing{Bucket: bucket})
	if err == nil || !strings.Contains(err.Error(), "ExpiredToken") {
		t.Fatal(err)
	}
	checkSum(t, report)
	first, _ := rec.read(t)
	if int64(len(first)) != report.Recorded || len(first) == len(want) {
		t.Errorf("%d are recorded, report: %+v", len(first), report)
	}
	s.setFault(nil)
	rec = goOn(t, rec.dir)
	list(t, s.options(rec), Listing{Recording: rec.dir})
	all, content := rec.read(t)
	if diff := cmp.Diff(want, keysOf(all)); diff != "" {
		t.Error(diff)
	}
	for i, inv := range all {
		if contentOf(inv, content) != want[i] {
			t.Errorf("%s is recorded with %q", want[i], contentOf(inv, content))
		}
	}
}

func TestAnInterruptedListingEnds(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	for i := range 30 {
		s.put(t, fmt.Sprintf("%02d", i), "content")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.setFault(onlyGets(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		<-r.Context().Done()
	}))
	report, err := List(ctx, s.options(rec), Listing{Bucket: bucket})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	checkSum(t, report)
}

// S3 encodes keys in listings when it is asked to, so that XML can hold them; gofakes3 does not.
func TestKeysOfListingsAreDecoded(t *testing.T) {
	wanted := []string{"a b+c%.csv", "über\x01.csv"}
	for _, versions := range []bool{false, true} {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("encoding-type") != "url" {
				fail(w, http.StatusBadRequest, "NotEncoded")
				return
			}
			name, element := "ListBucketResult", "Contents"
			if versions {
				name, element = "ListVersionsResult", "Version"
			}
			const entry = `<%[1]s><Key>%[2]s</Key><Size>1</Size><LastModified>2025-06-01T00:00:00.000Z</LastModified></%[1]s>`
			first, more := fmt.Sprintf(entry, element, "a+b%2Bc%25.csv"), "true"
			if marker := r.URL.Query().Get("key-marker"); marker != "" || r.URL.Query().Has("continuation-token") {
				first, more = fmt.Sprintf(entry, element, "%C3%BCber%01.csv"), "false"
				if versions && marker != wanted[0] {
					fail(w, http.StatusBadRequest, "WrongMarker")
					return
				}
			}
			io.WriteString(w,
				`<`+name+`><EncodingType>url</EncodingType><IsTruncated>`+more+`</IsTruncated>`+ //nolint:errcheck
					`<NextContinuationToken>t</NextContinuationToken><NextKeyMarker>a+b%2Bc%25.csv</NextKeyMarker>`+first+`</`+name+`>`)
		}))
		rec := newRecorder(t)
		opts := s.options(rec)
		opts.NoObjects = true
		list(t, opts, Listing{Versions: versions})
		all, _ := rec.read(t)
		if got := keysOf(all); !slices.Equal(got, wanted) {
			t.Errorf("versions %v: %q", versions, got)
		}
	}
}

func TestARecordingOfAnotherListingIsNotGoneOnWith(t *testing.T) {
	s, rec := newStore(t), newRecorder(t)
	s.put(t, "a/1", "1")
	s.put(t, "b/1", "2")
	list(t, s.options(rec), Listing{Prefix: "b/"})
	for _, c := range []struct {
		function, prefix string
		want             int64
	}{{"import", "a/", 1}, {"other", "b/", 1}, {"import", "b/", 0}, {"import", "", 2}} {
		opts := s.options(rec)
		opts.Function = c.function
		if err := rec.Flush(); err != nil {
			t.Fatal(err)
		}
		if r := list(t, opts, Listing{Prefix: c.prefix, Recording: rec.dir}); r.Recorded != c.want {
			t.Errorf("%+v: %+v", c, r)
		}
	}
	if _, err := List(t.Context(), s.options(rec), Listing{Bucket: bucket, Recording: filepath.Join(rec.dir,
		"none")}); err == nil {
		t.Error("a recording that is not there is gone on with")
	}
}

func TestAListingGoesOnOnlyWhereItIsKnownWhereItWas(t *testing.T) {
	s := newStore(t)
	for _, key := range []string{"a@corp.com", "b", "redacted-0123456789abcdef", "s", "z@corp.com"} {
		s.put(t, key, key)
	}
	for n, refused := range []bool{false, true, false, false, false, true} {
		if n == 0 {
			continue
		}
		rec := newRedactingRecorder(t, filepath.Join(t.TempDir(), "s3.rec"))
		list(t, s.options(rec), Listing{MaxObjects: int64(n)})
		rec.Close()
		rec = newRedactingRecorder(t, rec.dir)
		report, err := List(t.Context(), s.options(rec), Listing{Bucket: bucket, Recording: rec.dir})
		if refused != (err != nil) || refused && !strings.Contains(err.Error(), "another recording") {
			t.Errorf("after %d: %v", n, err)
		}
		if want := int64(5 - n); !refused && report.Recorded != want {
			t.Errorf("after %d: %d recorded, want %d", n, report.Recorded, want)
		}
	}
}
