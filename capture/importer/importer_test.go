package importer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tandem/capture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const fixtures = "../../fixtures/events"

// memory is a sink that keeps what it gets.
type memory struct {
	invs []*capture.Invocation
	fail error
}

func (m *memory) Write(inv *capture.Invocation) error {
	m.invs = append(m.invs, inv)
	return m.fail
}

// folder writes files, named by their paths, into a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func checkSum(t testing.TB, r Result, s *memory) {
	t.Helper()
	if r.Events != r.Imported+r.Duplicates+r.Refused+r.Excluded || r.Imported != len(s.invs) {
		t.Errorf("the counts do not add up: %+v with %d invocations", r, len(s.invs))
	}
}

func TestTheSampleEventsAreToldApartAndKeptByteForByte(t *testing.T) {
	want := map[string]struct {
		format  capture.Format
		trigger capture.Trigger
		time    string
	}{
		"alb":          {"alb", "http", ""},
		"apigw-v1":     {"apigw-v1", "http", "2025-02-16T10:52:00.208Z"},
		"apigw-v2":     {"apigw-v2", "http", "2025-02-16T10:51:47.412Z"},
		"dynamodb":     {"dynamodb", "other", "2025-02-16T10:55:01Z"},
		"eventbridge":  {"eventbridge", "other", "2025-02-16T10:55:10Z"},
		"function-url": {"function-url", "http", "2025-02-16T10:52:17.03Z"},
		"kinesis":      {"kinesis", "other", "2025-02-16T10:54:30.25Z"},
		"s3":           {"s3", "s3", "2025-02-16T10:53:41.733Z"},
		"sns":          {"sns", "other", "2025-02-16T10:54:02.118Z"},
		"sqs":          {"sqs", "sqs", "2025-02-16T10:53:20.101Z"},
		"sqs-fifo":     {"sqs", "sqs", "2025-02-16T10:53:20.101Z"},
	}
	var sink memory
	// Twice the same folder: each event has an identity, so that none is imported twice.
	r, err := Import(t.Context(), []string{fixtures, fixtures}, Options{Function: "f", Sink: &sink})
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, r, &sink)
	if r.Imported != len(want) || r.Duplicates != len(want) || r.Files != 2*len(want) {
		t.Errorf("%+v", r)
	}
	for _, inv := range sink.invs {
		path := strings.TrimPrefix(inv.Source, "import:")
		w, ok := want[strings.TrimSuffix(filepath.Base(path), ".json")]
		if !ok {
			t.Errorf("%s is not among the sample events", path)
			continue
		}
		if inv.Format != w.format || inv.Trigger != w.trigger {
			t.Errorf("%s is taken for %s, %s", path, inv.Trigger, inv.Format)
		}
		if got := inv.Time.Format(time.RFC3339Nano); w.time != "" && got != w.time {
			t.Errorf("%s happened %s, want %s", path, got, w.time)
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, inv.Event) {
			t.Errorf("%s: %v, or the event is not the file", path, err)
		}
	}
}

func TestWhatCannotBeImportedIsToldWithItsPlace(t *testing.T) {
	const har = `{"log":{"version":"1.2","creator":{"name":"x"},"entries":[]}}`
	for _, tc := range []struct {
		why, name, content string
		events             int
		err                string // of Import, without the folder; "" for nil
		note               string // the first, without the folder
	}{
		{"a broken file says where", "a.json", "{\n  \"a\": 1,\n  b\n}", 1, "a.json:3:3: ",
			"a.json: refused: line 3, column 3: "},
		{"and so does a line", "a.jsonl", "{}\n\n{\"a\":}\n[1]", 3, "a.jsonl:3:6: ",
			"a.jsonl:3: refused: line 3, column 6: "},
		{"two values are not one event", "a.json", "{} {}", 1, "a.json:1:4: ", ""},
		{"an empty file", "a.json", " \n", 1, "", "a.json: refused: it is empty"},
		{"a test notification", "a.json", `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}`, 1, "",
			"a.json: refused: s3:TestEvent is"},
		{"a HAR file without entries", "a.har", `{"log":{"version":"1.2"}}`, 1,
			"a.har: this is not a HAR file: it has no log.entries", "a.har: refused: this is not a HAR file"},
		{"a HAR file that is a line", "a.jsonl", "{}\n" + har, 2, "a.jsonl:2: this is a HAR file", ""},
		{"GoReplay by its name alone", "a.gor", "nonsense\n", 1, "a.gor:1: this is not the head of a GoReplay record",
			"a.gor:1: refused: this is not the head"},
		{"what only looks like GoReplay", "a.jsonl", "1 d7123dasd913jfd21312dasd 1\n", 1, "a.jsonl:1:3: ", ""},
		{"gzip that is none", "a.json.gz", "\x1f\x8bx", 1, "a.json.gz: the file is cut off", ""},
		{"a compressed recording", "a.jsonl.zst", "\x28\xb5\x2f\xfd\x00", 1,
			"a.jsonl.zst: this is a recording already", ""},
		{"a recording", "a.jsonl", `{"id":"1","function":"f","event":{}}`, 1, "a.jsonl:1: this is a recording already", ""},
		{"other files", "a.txt", "{}", 0, "", "a.txt: skipped: neither .json nor .jsonl, HAR or GoReplay"},
		{"a byte order mark", "a.json", "\ufeff{}", 1, "", "a.json: changed: the byte order mark"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			dir := folder(t, map[string]string{tc.name: tc.content})
			var sink memory
			r, err := Import(t.Context(), []string{dir}, Options{Function: "f", Sink: &sink})
			checkSum(t, r, &sink)
			if r.Events != tc.events {
				t.Errorf("%d events, want %d", r.Events, tc.events)
			}
			if err == nil != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if len(r.Notes) == 0 {
				t.Fatal("nothing is noted")
			}
			note := strings.ReplaceAll(r.Notes[0].String(), dir+string(filepath.Separator), "")
			if !strings.HasPrefix(note, tc.note) {
				t.Errorf("noted %q, want %q", note, tc.note)
			}
		})
	}
}

func TestARecordingInAFolderIsToldAndNotRead(t *testing.T) {
	dir := folder(t, map[string]string{"f/a.json": "{}", "f/old.rec/manifest.json": "{}",
		"f/old.rec/invocations-000001.jsonl": "{}\n{}\n", "f/z.json": "{}"})
	var sink memory
	r, err := Import(t.Context(), []string{dir}, Options{Sink: &sink})
	if !errors.Is(err, errRecording) || !strings.Contains(err.Error(), "old.rec") {
		t.Errorf("error %v", err)
	}
	checkSum(t, r, &sink)
	if r.Imported != 2 || r.Refused != 1 || r.Files != 2 {
		t.Errorf("%+v", r)
	}
}

func TestCompressedFilesAreRead(t *testing.T) {
	dir := folder(t, map[string]string{"f/a.json.gz": zipped(t, "{ }"), "f/b.jsonl.gz": zipped(t, "1\n2\n")})
	var sink memory
	if _, err := Import(t.Context(), []string{dir}, Options{Sink: &sink}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, inv := range sink.invs {
		got = append(got, string(inv.Event))
	}
	if diff := cmp.Diff([]string{"{ }", "1", "2"}, got); diff != "" {
		t.Error(diff)
	}
}

func zipped(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestABrokenEventDoesNotStopTheOthers(t *testing.T) {
	dir := folder(t, map[string]string{"a.json": "{", "b.json": "{}", "c.jsonl": "1\nx\n2"})
	var sink memory
	r, err := Import(t.Context(), []string{dir}, Options{Function: "f", Sink: &sink})
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Path != filepath.Join(dir, "a.json") ||
		!strings.Contains(err.Error(), "2 places") {
		t.Errorf("error %v", err)
	}
	checkSum(t, r, &sink)
	if r.Imported != 3 || r.Refused != 2 || r.Files != 3 {
		t.Errorf("%+v", r)
	}
}

func TestEventsStayAsTheyAre(t *testing.T) {
	events := []string{
		"[ {\"a\" : 1.0} ,\r\n\t2e3 ]\n", // an event may be an array; spaces, ends of lines and numbers are its own
		"{\"a\":1,\"a\":2}",              // names twice
		"{\"a\":\"\xff\"}",               // not UTF-8
		"null",
	}
	files := make(map[string]string)
	for i, e := range events {
		files[fmt.Sprintf("sub/%d.json", i)] = e
	}
	files["lines.ndjson"] = "{ \"x\" : 1 }\r\n\n \"y\"\n"
	var sink memory
	if _, err := Import(t.Context(), []string{folder(t, files)}, Options{Function: "f", Sink: &sink}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, inv := range sink.invs {
		got = append(got, string(inv.Event))
	}
	if diff := cmp.Diff(append([]string{`{ "x" : 1 }`, ` "y"`}, events...), got); diff != "" {
		t.Errorf("events in order (-want +got):\n%s", diff)
	}
}

func TestTheFolderNamesTheFunction(t *testing.T) {
	dir := folder(t, map[string]string{"create/a.json": "{}", "process/deep/b.json": "{}"})
	var sink memory
	if _, err := Import(t.Context(), []string{dir}, Options{Sink: &sink}); err != nil {
		t.Fatal(err)
	}
	if len(sink.invs) != 2 || sink.invs[0].Function != "create" || sink.invs[1].Function != "process" {
		t.Errorf("imported %+v", sink.invs)
	}
	for why, path := range map[string]string{
		"a file alone":               filepath.Join(dir, "create/a.json"),
		"a file right in the folder": filepath.Join(dir, "create"),
	} {
		if _, err := Import(t.Context(), []string{path}, Options{Sink: &sink}); !errors.Is(err, ErrNoFunction) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

func TestOnlyTheSameEventIsADuplicate(t *testing.T) {
	const sqs = `{"Records":[{"eventSource":"aws:sqs","messageId":"m","receiptHandle":"%s","body":"%s",` +
		`"attributes":{"ApproximateReceiveCount":"%s"},"eventSourceARN":"q"}]}`
	const s3 = `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},` +
		`"object":{"key":"%s","sequencer":"1"}}}]}`
	lines := []string{
		fmt.Sprintf(sqs, "r1", "hello", "1"),
		fmt.Sprintf(sqs, "r2", "hello", "2"), // delivered again: the same
		fmt.Sprintf(sqs, "r1", "edited", "1"),
		fmt.Sprintf(s3, "k1"), fmt.Sprintf(s3, "k2"), fmt.Sprintf(s3, "k1"),
		`{"plain":1}`, `{"plain":1}`, // without an identity, none is a duplicate
	}
	dir := folder(t, map[string]string{"f/a.jsonl": strings.Join(lines, "\n"), "g/a.jsonl": lines[0]})
	var sink memory
	r, err := Import(t.Context(), []string{dir}, Options{Sink: &sink})
	if err != nil {
		t.Fatal(err)
	}
	checkSum(t, r, &sink)
	if r.Imported != 7 || r.Duplicates != 2 {
		t.Errorf("%+v", r)
	}
}

func TestAnEventWithoutATimeHasThatOfItsFile(t *testing.T) {
	dir := folder(t, map[string]string{"f/a.json": "{}", "f/b.json": "{}"})
	when := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, mtime := range map[string]time.Time{"a": when, "b": time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if err := os.Chtimes(filepath.Join(dir, "f", name+".json"), mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	var sink memory
	if _, err := Import(t.Context(), []string{dir}, Options{Sink: &sink}); err != nil {
		t.Fatal(err)
	}
	if got := sink.invs[0].Time; !got.Equal(when) {
		t.Errorf("the time is %s", got)
	}
	if got := sink.invs[1].Time; !got.Equal(time.Unix(0, 0)) {
		t.Errorf("a time that no ID can hold is %s", got)
	}
}

func TestAnImportEndsWhenItCannotGoOn(t *testing.T) {
	dir := folder(t, map[string]string{"f/a.json": "{}"})
	full := errors.New("disk full")
	if _, err := Import(t.Context(), []string{dir}, Options{Sink: &memory{fail: full}}); !errors.Is(err, full) {
		t.Errorf("a sink that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Import(ctx, []string{dir}, Options{Sink: &memory{}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	missing := []string{filepath.Join(dir, "no")}
	if _, err := Import(t.Context(), missing, Options{Sink: &memory{}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a path that is not there: %v", err)
	}
}

func FuzzImport(f *testing.F) {
	files, err := filepath.Glob(fixtures + "/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(err, "no fixtures")
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
	}
	f.Add([]byte("{}\r\n\n[1]\n\"\xff\"\nnope"), true)
	f.Add([]byte("\xef\xbb\xbf{\"requestContext\":{\"timeEpoch\":1e300}}"), false)
	f.Fuzz(func(t *testing.T, data []byte, lines bool) {
		name := "a.json"
		if lines {
			name = "a.jsonl"
		}
		path := filepath.Join(folder(t, map[string]string{name: string(data)}), name)
		var sink memory
		r, _ := Import(t.Context(), []string{path}, Options{Function: "f", Sink: &sink})
		checkSum(t, r, &sink)
		for _, inv := range sink.invs {
			if !bytes.Contains(data, inv.Event) {
				t.Fatalf("%q is not in the input", inv.Event)
			}
			line, err := inv.AppendJSON(nil)
			if err != nil {
				t.Fatalf("%q cannot be recorded: %v", inv.Event, err)
			}
			again, err := capture.ParseInvocation(line)
			if err != nil || !bytes.Equal(again.Event, inv.Event) {
				t.Fatalf("%q comes back as %q, %v", inv.Event, again.Event, err)
			}
		}
	})
}
