package logchunk

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noise returns n bytes that do not compress, the same every time.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b) //nolint:errcheck // it never fails
	return b
}

func lines(t *testing.T, id string, document []byte) []string {
	t.Helper()
	out, err := Append(nil, id, document)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(out)))
}

func TestDocumentsComeBackAsTheyWere(t *testing.T) {
	tests := []struct {
		name, reason string
		document     []byte
		lines        int
	}{
		{"empty", "an empty document is not no document", []byte{}, 1},
		{"small", "one line is the usual case", []byte(`{"id":"1"}`), 1},
		{"repeated", "what compresses stays in one line", bytes.Repeat([]byte("x"), 6<<20), 1},
		{"noise", "6 MB of noise needs many", noise(6 << 20), 44},
		{"one line full", "the limit itself", noise(maxData - 20), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := lines(t, strings.Repeat("\x01", 1000), test.document)
			if len(got) != test.lines {
				t.Errorf("%s: %d lines, want %d", test.reason, len(got), test.lines)
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
			var d Decoder
			var content []byte
			for _, line := range got {
				if len(line) > MaxLine {
					t.Errorf("a line of %d bytes", len(line))
				}
				for range 2 { // every part comes twice
					_, c, err := d.Add("2026-01-02T03:04:05Z " + line)
					if err != nil {
						t.Fatal(err)
					}
					if c != nil {
						content = c
					}
				}
			}
			if content == nil || !bytes.Equal(content, test.document) {
				t.Errorf("%s: %d bytes came back of %d", test.reason, len(content), len(test.document))
			}
			if gaps := d.Gaps(); len(gaps) != 0 {
				t.Errorf("gaps: %v", gaps)
			}
		})
	}
}

func TestMissingLinesAreTold(t *testing.T) {
	var d Decoder
	for i, line := range lines(t, "a", noise(500_000)) {
		if i == 1 || i == 3 {
			continue
		}
		if _, content, err := d.Add(line); content != nil || err != nil {
			t.Fatalf("part %d: %d bytes, %v", i+1, len(content), err)
		}
	}
	if diff := cmp.Diff([]Gap{{ID: "a", Missing: []int{2, 4}, Total: 4}}, d.Gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}

func TestLinesThatCannotBeTrueAreErrors(t *testing.T) {
	whole := lines(t, "a", []byte("content"))[0]
	tests := []struct{ name, line, want string }{
		{"not JSON", Prefix + "{", "unexpected end"},
		{"part 0", Prefix + `{"id":"a","part":0,"total":1}`, "part 0 of 1"},
		{"beyond the last", Prefix + `{"id":"a","part":3,"total":2}`, "part 3 of 2"},
		{"absurd total", Prefix + `{"id":"a","part":1,"total":1000000000}`, "1000000000"},
		{"no ID", Prefix + `{"part":1,"total":1}`, `of ""`},
		{"not zstd", Prefix + `{"id":"a","part":1,"total":1,"data":"AAAA"}`, `"a"`},
		{"other content", strings.Replace(whole, `"sha256":"`, `"sha256":"0`, 1), "hash does not match"},
		{"other document", Prefix + `{"id":"open","part":1,"total":3}`, "another document"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var d Decoder
			if _, _, err := d.Add(Prefix + `{"id":"open","part":1,"total":2,"data":"AAAA"}`); err != nil {
				t.Fatal(err)
			}
			_, content, err := d.Add(test.line)
			if err == nil || !strings.Contains(err.Error(), test.want) || content != nil {
				t.Errorf("got %q, %v; want an error with %q", content, err, test.want)
			}
			if gaps := d.Gaps(); len(gaps) != 1 || gaps[0].ID != "open" {
				t.Errorf("other documents were spoilt: %v", gaps)
			}
		})
	}
	if _, _, err := new(Decoder).Add("START RequestId: 1 Version: $LATEST"); err != nil {
		t.Errorf("another program's line: %v", err)
	}
}

func TestWhatCannotBeCutIsRefused(t *testing.T) {
	if _, err := Append(nil, "a", make([]byte, MaxDocument+1)); err == nil {
		t.Error("a document that is too large is taken")
	}
	for _, id := range []string{"", strings.Repeat("x", 1001)} {
		if _, err := Append(nil, id, nil); err == nil {
			t.Errorf("an ID of %d bytes is taken", len(id))
		}
	}
}

func FuzzDecoder(f *testing.F) {
	line, err := Append(nil, "a", []byte("content"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(line))
	f.Add(Prefix + `{"id":"a","part":1,"total":2,"data":"AAAA"}`)
	f.Fuzz(func(t *testing.T, line string) {
		var d Decoder
		id, content, err := d.Add(line)
		if (content != nil) != (id != "") || err != nil && content != nil {
			t.Fatalf("%q, %q, %v", id, content, err)
		}
		if content == nil {
			return
		}
		again, err := Append(nil, id, content)
		if err != nil {
			return // an ID that is too long
		}
		var other Decoder
		if _, back, err := other.Add(string(again)); err != nil || !bytes.Equal(back, content) {
			t.Fatalf("%q came back as %q, %v", content, back, err)
		}
	})
}
