package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tandem/capture"
)

// ManifestName is the file of a run's folder that holds its manifest.
const ManifestName = "manifest.json"

// manifestVersion is the version of runs that this package writes, and the newest that it reads.
const manifestVersion = 1

// A RunManifest says how a run was made, completely enough to repeat it.
type RunManifest struct {
	Version    int          `json:"version"`
	ID         string       `json:"id"` // a ULID
	Tool       string       `json:"tool,omitempty"`
	Start      time.Time    `json:"start"`
	End        time.Time    `json:"end,omitzero"`
	Complete   bool         `json:"complete"` // every invocation of the recording has its trial
	ConfigHash string       `json:"configHash,omitempty"`
	Recording  RecordingRef `json:"recording"`
	Targets    []TargetRef  `json:"targets"`
	InFlight   int          `json:"inFlight"`
	Counts     Counts       `json:"counts"`
	SkewMS     Skew         `json:"skewMs"`
	Resumed    []Resumption `json:"resumed,omitempty"`
}

// A RecordingRef names the recording that a run replays.
type RecordingRef struct {
	Path        string `json:"path"`
	Hash        string `json:"hash"`
	Invocations int64  `json:"invocations"`
}

// A TargetRef names what one function was fired at.
type TargetRef struct {
	Function string `json:"function"`
	Name     string `json:"name"`
	Kind     string `json:"kind,omitempty"`
	Address  string `json:"address,omitempty"` // without secrets
}

// A Resumption is one time that a run was gone on with. Tool and ConfigHash are those of the session before it.
type Resumption struct {
	At         time.Time `json:"at"`
	Trials     int64     `json:"trials"` // that the run had by then
	Tool       string    `json:"tool,omitempty"`
	ConfigHash string    `json:"configHash,omitempty"`
}

// Skew says how far apart the targets of one invocation were fired at, in milliseconds, in the last session of a run.
type Skew struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Counts are what the trials of a run add up to.
type Counts struct {
	Invocations int64 `json:"invocations"` // in the recording
	Trials      int64 `json:"trials"`
	NotReached  int64 `json:"notReached"` // invocations without a trial
	// Outcomes counts outcomes by target and status.
	Outcomes map[string]map[capture.Status]int64 `json:"outcomes"`
	// Unreplayable counts what could not be sent, by reason.
	Unreplayable map[string]int64 `json:"unreplayable,omitempty"`
}

// maxReasons bounds Counts.Unreplayable, because reasons may name an object or a message.
const maxReasons = 50

func (c *Counts) add(t *Trial) {
	c.Trials++
	c.NotReached--
	for name, out := range t.Outcomes {
		if c.Outcomes[name] == nil {
			c.Outcomes[name] = make(map[capture.Status]int64)
		}
		c.Outcomes[name][out.Status]++
		if out.Status != capture.StatusUnreplayable {
			continue
		}
		reason := "no reason given"
		if out.Error != nil && out.Error.Message != "" {
			reason = out.Error.Message
		}
		if _, known := c.Unreplayable[reason]; !known && len(c.Unreplayable) >= maxReasons {
			reason = "other reasons"
		}
		c.Unreplayable[reason]++
	}
}

func newCounts(invocations int64) Counts {
	return Counts{
		Invocations: invocations, NotReached: invocations,
		Outcomes:     make(map[string]map[capture.Status]int64),
		Unreplayable: make(map[string]int64),
	}
}

// readManifest returns the manifest of the run in dir, or nil when there is none.
func readManifest(dir string) (*RunManifest, error) {
	path := filepath.Join(dir, ManifestName)
	doc, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the run's manifest: %w", err)
	}
	var m RunManifest
	if err := json.Unmarshal(doc, &m); err != nil {
		return nil, fmt.Errorf("run manifest %s: %w", path, err)
	}
	if m.Version < 1 || m.Version > manifestVersion {
		return nil, fmt.Errorf("run manifest %s: version %d is not known; this tandem reads up to %d",
			path, m.Version, manifestVersion)
	}
	if m.Recording.Hash == "" { // a recording has a file of this name, too
		return nil, fmt.Errorf("%s is not the manifest of a run: it names no recording", path)
	}
	return &m, nil
}
