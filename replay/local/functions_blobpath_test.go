package local

import (
	"maps"
	"strings"
	"testing"
)

func TestPathsOfBlobTriggersMatchAsTheHostsDo(t *testing.T) {
	type params map[string]string
	for _, tt := range []struct {
		path, name string
		want       params // nil when the blob is not the trigger's
	}{
		{"catalog/{name}", "a.csv", params{"name": "a.csv"}},
		{"catalog/{name}", "a/b.csv", params{"name": "a/b.csv"}}, // slashes are part of a name
		{"catalog/{name}.csv", "a.csv", params{"name": "a"}},
		{"catalog/{name}.csv", "a.CSV", nil},
		{"catalog/{name}.csv", "a.csv.gz", nil},
		{"catalog/{name}.{ext}", "a.tar.gz", params{"name": "a.tar", "ext": "gz"}}, // the first takes all it can
		{"catalog/{day}/{name}", "2026/01/a", params{"day": "2026/01", "name": "a"}},
		{"catalog/original-{name}", "original-a", params{"name": "a"}},
		{"catalog/original-{name}", "copy-a", nil},
		{"catalog/a+b(1).csv", "a+b(1).csv", params{}}, // no parameter, and nothing special
		{"catalog/a+b(1).csv", "aab1.csv", nil},
		{"catalog/{{20140101}}-{name}", "{20140101}-soundfile.mp3", params{"name": "soundfile.mp3"}},
		{"catalog", "any/thing", params{}},
		{"catalog/", "any/thing", params{}},
	} {
		p, err := parseBlobPath(tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		got, ok := p.match(tt.name)
		if ok != (tt.want != nil) || ok && !maps.Equal(got, tt.want) || p.container != "catalog" {
			t.Errorf("%s and %s: %v, %v; want %v", tt.path, tt.name, got, ok, tt.want)
		}
	}
	for path, want := range map[string]string{
		"{container}/{name}": "name of a container", "": "name of a container", "Upper/{name}": "name of a container",
		"catalog/{name": "is no parameter", "catalog/{}": "is no parameter", "catalog/{rand-guid}": "is no parameter",
		"catalog/a}": "without its {", "catalog/{a}/{A}": "there twice",
	} {
		if _, err := parseBlobPath(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
}

func FuzzBlobPath(f *testing.F) {
	f.Add("catalog/{day}/{name}.csv", "2026/a.csv")
	f.Add("catalog/{{x}}{name}", "{x}a")
	f.Add("cat", "a")
	f.Fuzz(func(t *testing.T, path, name string) {
		p, err := parseBlobPath(path)
		if err != nil {
			return
		}
		params, ok := p.match(name)
		if !ok {
			return
		}
		for parameter, value := range params {
			if !strings.Contains(name, value) || !strings.Contains(path, "{"+parameter+"}") {
				t.Errorf("%q and %q: %s is %q", path, name, parameter, value)
			}
		}
	})
}

func FuzzBlobEvents(f *testing.F) {
	f.Add([]byte(`[{"data":{"eTag":"0x1","blobType":"BlockBlob","url":"https://a.blob.core.windows.net/c/a%20b.csv"}}]`))
	f.Add([]byte(`{"data":{"validationCode":"x"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := parseBlobEvents(body)
		if err == nil && len(events) == 0 {
			t.Errorf("%q has no event", body)
		}
		for _, e := range events {
			if m, err := e.message("f"); err == nil && (m.ContainerName == "" || m.BlobName == "") {
				t.Errorf("%q is about %+v", body, m)
			}
		}
	})
}

func TestBlobSettingsAreReadAsTheHostDoes(t *testing.T) {
	n := func(n int) *int { return &n }
	s, err := (&blobFile{MaxDegreeOfParallelism: n(1)}).settings()
	if err != nil || s.batchSize != 1 || s.newBatchThreshold != 0 || s.maxDequeueCount != 5 || !s.base64 {
		t.Errorf("one at a time: %+v, %v", s, err)
	}
	s, err = (&blobFile{MaxDegreeOfParallelism: n(100), PoisonBlobThreshold: n(2)}).settings()
	if err != nil || s.batchSize != 32 || s.newBatchThreshold != 68 || s.maxDequeueCount != 2 {
		t.Errorf("a hundred at a time: %+v, %v", s, err)
	}
	for field, f := range map[string]*blobFile{
		"maxDegreeOfParallelism": {MaxDegreeOfParallelism: n(0)}, "poisonBlobThreshold": {PoisonBlobThreshold: n(-1)},
	} {
		if _, err := f.settings(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
