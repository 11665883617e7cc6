package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/capture/journal"
)

// RecordingVersion is the version of the recording format that is written, and the newest that is read.
const RecordingVersion = 1

const (
	manifestName  = "manifest.json"
	ageEncryption = "age"
)

// A Manifest says what is in a recording folder and how it was made.
type Manifest struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	// Tandem is the version of the tool that wrote the recording last.
	Tandem string `json:"tandem,omitempty"`
	// Encryption is "age" when the invocations and objects are encrypted. The manifest is not, so it then says nothing
	// of what is in them: no Sources, From and To.
	Encryption string `json:"encryption,omitempty"`
	// Sources are the kinds of sources that the invocations came from, in alphabetical order: "http", "import".
	Sources []string `json:"sources"`
	// From and To are the times of the first and the last invocation; zero where no invocation has a time.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Redaction is null where nothing is known to have been replaced: the recording may hold secrets.
	Redaction *Redaction `json:"redaction" jsonschema:"nullable"`
	Counts    Counts     `json:"counts"`
	// Complete is set when the capture came to its end. Until then, and after a kill, Counts are those of the start; after
	// a capture that failed they are right.
	Complete bool `json:"complete"`
}

// Counts say how much is in a recording.
type Counts struct {
	Invocations int64 `json:"invocations"`
	Objects     int64 `json:"objects"`
	Lost        int64 `json:"lost"` // invocations that were seen and could not be recorded
}

// add counts one more invocation, and what was replaced in it.
func (m *Manifest) add(inv *Invocation, replaced map[string]int64) {
	m.Counts.Invocations++
	for kind, n := range replaced {
		m.Redaction.Replaced[kind] += n
	}
	if m.Encryption != "" {
		return
	}
	if kind, _, _ := strings.Cut(inv.Source, ":"); kind != "" {
		if i, found := slices.BinarySearch(m.Sources, kind); !found {
			m.Sources = slices.Insert(m.Sources, i, kind)
		}
	}
	if t := inv.Time.UTC(); !t.IsZero() {
		if m.From.IsZero() || t.Before(m.From) {
			m.From = t
		}
		if t.After(m.To) {
			m.To = t
		}
	}
}

func (m *Manifest) write(dir string) error {
	doc, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return journal.WriteFile(filepath.Join(dir, manifestName), append(doc, '\n'))
}

// errNoManifest is wrapped by errors about folders that are not recordings.
var errNoManifest = errors.New("not a recording: no " + manifestName)

func readManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestName)
	doc, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, errNoManifest)
	}
	if err != nil {
		return nil, err
	}
	var format struct{ Version int }
	if err := json.Unmarshal(doc, &format); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case format.Version > RecordingVersion:
		return nil, fmt.Errorf("%s: %w", path, &VersionError{format.Version})
	case format.Version < 1:
		return nil, fmt.Errorf(`%s: no "version" that is a number from 1`, path)
	}
	m := new(Manifest)
	if err := json.Unmarshal(doc, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// A VersionError says that a recording was written by a newer tandem.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("format version %d is newer than this tandem reads (%d): upgrade tandem",
		e.Version, RecordingVersion)
}
