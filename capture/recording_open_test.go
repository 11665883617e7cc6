package capture

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// edit changes a file of a recording.
func edit(t testing.TB, path string, change func(string) string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(change(string(content))), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replace(old, new string) func(string) string {
	return func(s string) string {
		if !strings.Contains(s, old) {
			panic(old + " is not there")
		}
		return strings.Replace(s, old, new, 1)
	}
}

func TestBadRecordingsSayWhereAndWhatToDo(t *testing.T) {
	const segment = "invocations-000001.jsonl.zst"
	tests := []struct {
		name    string
		file    string // to change; "" for a lone file of plain lines
		change  func(string) string
		err     string // REC is the recording's path
		salvage string // the only notice when salvaging; "error" when that fails as well
		left    []int
	}{
		{"a line that is not JSON", "", replace(`{"id":"inv-000001"`, `{"id":inv-000001"`),
			"REC:2: not JSON: invalid character 'i' looking for beginning of value at column 7; " +
				"fix or delete the line, or --salvage to skip it",
			"REC: skipped 1 lines that are not invocations", []int{0, 2}},
		{"a line that is not an invocation", "", replace(`"inv-000000","function"`, `"inv-000000","funktion"`),
			`REC:1: no "function"; fix or delete the line, or --salvage to skip it`,
			"REC: skipped 1 lines that are not invocations", []int{1, 2}},
		{"a line that is a number", "", replace(`{"id":"inv-000000"`, "7\n{\"id\":\"inv-000000\""),
			"REC:1: not an invocation but a JSON number; fix or delete the line, or --salvage to skip it",
			"REC: skipped 1 lines that are not invocations", []int{0, 1, 2}},
		{"a field of the wrong type", "", replace(`"id":"inv-000001"`, `"id":1`),
			`REC:2: "id" cannot be a JSON number; fix or delete the line, or --salvage to skip it`,
			"REC: skipped 1 lines that are not invocations", []int{0, 2}},
		{"a lone file that was cut off", "", func(s string) string { return s[:len(s)-10] },
			"REC: cut off at byte CUT: the last TAIL bytes are unfinished; --salvage reads what is before them",
			"REC: cut off at byte CUT: the last TAIL bytes are unfinished; what was flushed before is all there",
			[]int{0, 1}},
		{"a complete folder that was cut off", segment, func(s string) string { return s[:len(s)-10] },
			"REC/" + segment + ": cut off at byte 0: the last TAIL bytes are unfinished; " +
				"--salvage reads what is before them",
			"REC/" + segment + ": cut off at byte 0: the last TAIL bytes are unfinished; " +
				"what was flushed before is all there\nREC: manifest.json says 3 invocations, 0 found", nil},
		{"a damaged frame", segment, func(s string) string { return s[:len(s)-1] + "x" },
			"REC/" + segment + ": frame at byte 0: checksum does not match; --salvage skips it",
			"REC: skipped damage in 1 places, LEN bytes\nREC: manifest.json says 3 invocations, 0 found", nil},
		{"another number than the manifest says", "manifest.json", replace(`"invocations": 3`, `"invocations": 100`),
			"REC: manifest.json says 100 invocations, 3 found; --salvage accepts that",
			"REC: manifest.json says 100 invocations, 3 found", []int{0, 1, 2}},
		{"a newer version", "manifest.json", replace(`"version": 1`, `"version": 7`),
			"REC/manifest.json: format version 7 is newer than this tandem reads (1): upgrade tandem", "error", nil},
		{"no version", "manifest.json", replace(`"version": 1,`, ``),
			`REC/manifest.json: no "version" that is a number from 1; --salvage reads the invocations without it`,
			`REC/manifest.json: no "version" that is a number from 1`, []int{0, 1, 2}},
		{"a manifest that is not JSON", "manifest.json", func(string) string { return "{" },
			"REC/manifest.json: unexpected end of JSON input; --salvage reads the invocations without it",
			"REC/manifest.json: unexpected end of JSON input", []int{0, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := filepath.Join(t.TempDir(), "orders.rec")
			file := filepath.Join(rec, tt.file)
			if tt.file == "" {
				rec += ".jsonl"
				file = rec
			}
			record(t, rec, 3)
			edit(t, file, tt.change)
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cut := strings.LastIndexByte(string(content), '\n') + 1
			if strings.HasSuffix(file, ".zst") {
				cut = 0
			}
			fill := strings.NewReplacer("REC", rec, "CUT", fmt.Sprint(cut), "TAIL", fmt.Sprint(len(content)-cut),
				"LEN", fmt.Sprint(len(content)))

			r, err := Open(rec, OpenOptions{})
			if err == nil {
				_, err = r.Verify(t.Context())
			}
			if want := fill.Replace(tt.err); err == nil || err.Error() != want {
				t.Errorf("error is\n%v, want\n%s", err, want)
			}
			r, err = Open(rec, OpenOptions{Salvage: true})
			if tt.salvage == "error" {
				if err == nil {
					t.Error("salvage reads it")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantIDs(t, r, tt.left...)
			if got, want := strings.Join(r.Notices(), "\n"), fill.Replace(tt.salvage); got != want {
				t.Errorf("notices are\n%s, want\n%s", got, want)
			}
			if r.Complete() {
				t.Error("it is taken as complete")
			}
		})
	}
}

func TestARecordingWithoutManifestOrAtAllIsTold(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir, OpenOptions{})
	want := dir + ": not a recording: no manifest.json; --salvage reads the invocations without it"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
	_, err = Open(dir+"/none", OpenOptions{})
	if err == nil || err.Error() != "no recording at "+dir+"/none" {
		t.Errorf("error is %v", err)
	}
}

func TestTheSameIDTwiceIsAnErrorThatNamesBothPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.jsonl")
	record(t, path, 50)
	edit(t, path, replace(`"inv-000041"`, `"inv-000003"`))
	for _, salvage := range []bool{false, true} {
		_, err := openRecording(t, path, OpenOptions{Salvage: salvage}).Verify(t.Context())
		var duplicate *DuplicateError
		if !errors.As(err, &duplicate) {
			t.Fatalf("error is %v", err)
		}
		want := fmt.Sprintf("%s:42: invocation inv-000003 appears twice (first at %[1]s:4); "+
			"delete one of the lines", path)
		if err.Error() != want {
			t.Errorf("error is %q, want %q", err, want)
		}
	}
}

func TestAKilledCaptureOpensWithANotice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.rec")
	record(t, path, 3)
	edit(t, filepath.Join(path, "manifest.json"), replace(`"complete": true`, `"complete": false`))
	segment := filepath.Join(path, "invocations-000001.jsonl.zst")
	edit(t, segment, func(s string) string { return s + s[:20] })
	r := openRecording(t, path, OpenOptions{})
	wantIDs(t, r, 0, 1, 2)
	notices := r.Notices()
	if len(notices) != 1 || !strings.Contains(notices[0], "the last 20 bytes are unfinished") || r.Complete() {
		t.Errorf("notices are %q", notices)
	}
	w, err := Create(path, CreateOptions{Append: true})
	if err != nil {
		t.Fatal(err)
	}
	if w.Cut() == nil || w.Cut().Bytes != 20 {
		t.Errorf("cut is %v", w.Cut())
	}
	if err := w.Write(invocationN(3)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r = openRecording(t, path, OpenOptions{})
	wantIDs(t, r, 0, 1, 2, 3)
	if !r.Complete() || r.Manifest().Counts.Invocations != 4 {
		t.Errorf("manifest is %+v", r.Manifest())
	}
}

func TestStdinIsRemovedInTheEnd(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r, err := Open("-", OpenOptions{Stdin: strings.NewReader("{}\n")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := idsIn(r); err == nil || !strings.HasPrefix(err.Error(), `stdin:1: no "id"`) {
		t.Errorf("error is %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open("-", OpenOptions{Stdin: errReader{errors.New("pipe broke")}})
	if err == nil || err.Error() != "read recording from stdin: pipe broke" {
		t.Errorf("error is %v", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
}

func TestARunIsNotARecording(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"manifest.json": `{"version":1,"recording":{}}`, "trials-000001.jsonl": "{}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "is a run, not a recording") {
		t.Errorf("Open of a run: %v", err)
	}
}
