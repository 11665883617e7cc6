package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tandem/capture"
	"tandem/replay/completion"
)

// ManifestName is the file of a run's folder that holds its manifest.
const ManifestName = "manifest.json"

// manifestVersion is the version of runs that this package writes, and the newest that it reads.
const manifestVersion = 1

// A RunManifest says how a run was made, completely enough to repeat it.
type RunManifest struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"` // a ULID
	Tool     string    `json:"tool,omitempty"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end,omitzero"`
	Complete bool      `json:"complete"` // every invocation that is selected has its trials
	// Stopped is why the last session ended before it was complete; absent when it was killed, too.
	Stopped    string `json:"stopped,omitempty"`
	ConfigHash string `json:"configHash,omitempty"`
	// FireHash is of what in the config decides what is fired, and binds the run; absent in runs of earlier versions,
	// which ConfigHash binds.
	FireHash  string       `json:"fireHash,omitempty"`
	Recording RecordingRef `json:"recording"`
	Targets   []TargetRef  `json:"targets"`
	// AllowProduction names the targets in production that the last session was allowed to fire at.
	AllowProduction []string `json:"allowProduction,omitempty"`
	Plan            Plan     `json:"plan"`
	Pace            PaceRef  `json:"pace"`
	StopOn          []string `json:"stopOn,omitempty"`
	InFlight        int      `json:"inFlight"`
	// ShiftSeconds is by how much rules with shift-time move times, in all sessions.
	ShiftSeconds int64  `json:"shiftSeconds,omitempty"`
	Counts       Counts `json:"counts"`
	// SkewMS says how far apart the targets of one invocation were fired at, in the last session.
	SkewMS Spread `json:"skewMs"`
	// Completions counts what the last session was told of invocations that triggers do not answer.
	Completions *completion.Stats `json:"completions,omitempty"`
	Resumed     []Resumption      `json:"resumed,omitempty"`
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
	// Environment is what the config says of it; absent for what is on this machine.
	Environment Environment `json:"environment,omitempty"`
	// InFlight is what the config says that it takes at once; absent when it does not say.
	InFlight  int  `json:"inFlight,omitempty"`
	RetrySafe bool `json:"retrySafe,omitempty"`
	// Rewrite has what is changed in events before they are sent.
	Rewrite []RewriteRef `json:"rewrite,omitempty"`
	// Throttled counts the requests of the last session that it refused for want of capacity, and LowestInFlight is
	// what that brought down how many were fired at once to.
	Throttled      int64 `json:"throttled,omitempty"`
	LowestInFlight int   `json:"lowestInFlight,omitempty"`
}

// A Plan says which trials a run consists of. It is the same in all sessions of a run.
type Plan struct {
	Only      []string `json:"only,omitempty"`
	Sample    float64  `json:"sample,omitempty"`
	Seed      uint64   `json:"seed,omitempty"`
	Repeat    int      `json:"repeat"`
	Calibrate bool     `json:"calibrate,omitempty"`
	// Fire names the targets that are fired at; absent where these are all.
	Fire []string `json:"fire,omitempty"`
}

// A PaceRef says when invocations were due, and how well that was kept to, in the last session.
type PaceRef struct {
	Speed    float64 `json:"speed,omitempty"`
	MaxGapMS float64 `json:"maxGapMs,omitempty"`
	Rate     float64 `json:"rate,omitempty"`
	RampMS   float64 `json:"rampMs,omitempty"`
	MaxRate  float64 `json:"maxRate,omitempty"`

	// CutMS is how much recorded silence was left out, because it was longer than MaxGap.
	CutMS float64 `json:"cutMs,omitempty"`
	// LateMS says how long after they were due invocations were fired.
	LateMS *Spread `json:"lateMs,omitempty"`
	// ErrorMS says so of those alone that neither their lane nor a limit held back: it is the schedule's own error.
	ErrorMS *Spread `json:"errorMs,omitempty"`
}

// A Resumption is one time that a run was gone on with. Tool, the hashes and Stopped are those of the session before.
type Resumption struct {
	At         time.Time `json:"at"`
	Trials     int64     `json:"trials"` // that the run had by then
	Tool       string    `json:"tool,omitempty"`
	ConfigHash string    `json:"configHash,omitempty"`
	FireHash   string    `json:"fireHash,omitempty"`
	Stopped    string    `json:"stopped,omitempty"`
}

// A Spread says how durations are distributed, in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Counts are what the trials of a run add up to: (Invocations - LeftOut) · repeat = Trials + WarmedUp + NotReached.
type Counts struct {
	Invocations int64 `json:"invocations"` // in the recording
	LeftOut     int64 `json:"leftOut"`     // of them, by the selection
	Trials      int64 `json:"trials"`
	WarmedUp    int64 `json:"warmedUp"`   // fired before the run began to count, without trials
	NotReached  int64 `json:"notReached"` // neither fired for a trial nor to warm up
	// WarmUp counts the outcomes of what was fired to warm up, by target and status.
	WarmUp map[string]map[capture.Status]int64 `json:"warmUp,omitempty"`
	// Outcomes counts outcomes by target and status, without those that were recorded.
	Outcomes map[string]map[capture.Status]int64 `json:"outcomes"`
	// Unreplayable counts what could not be sent, by reason.
	Unreplayable map[string]int64 `json:"unreplayable,omitempty"`
}

// maxReasons bounds what is counted by reason, because reasons may name an object or a message.
const maxReasons = 50

func (c *Counts) add(t *Trial) {
	c.Trials++
	c.NotReached--
	for name, out := range t.Outcomes {
		if name == RecordedOutcome {
			continue
		}
		addStatus(c.Outcomes, name, out.Status)
		if out.Status != capture.StatusUnreplayable {
			continue
		}
		reason := "no reason given"
		if out.Error != nil && out.Error.Message != "" {
			reason = out.Error.Message
		}
		addReason(c.Unreplayable, reason)
	}
}

func addReason(counts map[string]int64, reason string) {
	if _, known := counts[reason]; !known && len(counts) >= maxReasons {
		reason = "other reasons"
	}
	counts[reason]++
}

func addStatus(counts map[string]map[capture.Status]int64, name string, status capture.Status) {
	if counts[name] == nil {
		counts[name] = make(map[capture.Status]int64)
	}
	counts[name][status]++
}

func newCounts(invocations, selected int64, repeat int) Counts {
	return Counts{
		Invocations: invocations, LeftOut: invocations - selected, NotReached: selected * int64(repeat),
		Outcomes:     make(map[string]map[capture.Status]int64),
		WarmUp:       make(map[string]map[capture.Status]int64),
		Unreplayable: make(map[string]int64),
	}
}

// Planned returns how many trials the run has when it is complete.
func (m *RunManifest) Planned() int64 {
	return (m.Recording.Invocations-m.Counts.LeftOut)*int64(max(m.Plan.Repeat, 1)) - m.Counts.WarmedUp
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

func (c *Counts) warmedUp(n int64) {
	c.WarmedUp += n
	c.NotReached -= n
}

// String says it as the flags of tandem replay do.
func (p Plan) String() string {
	if flags := p.Flags(); flags != "" {
		return flags[1:]
	}
	return "every invocation once"
}

// Flags are the flags of tandem replay that make this plan, each after a space.
func (p Plan) Flags() string {
	flags := ""
	for _, condition := range p.Only {
		flags += " --only " + quote(condition)
	}
	if p.Sample > 0 {
		flags += fmt.Sprintf(" --sample %v --seed %d", p.Sample, p.Seed)
	}
	if p.Repeat > 1 {
		flags += fmt.Sprintf(" --repeat %d", p.Repeat)
	}
	if p.Calibrate {
		flags += " --calibrate"
	}
	if len(p.Fire) > 0 {
		flags += " --fire " + strings.Join(p.Fire, ",")
	}
	return flags
}

// Flags are the flags of tandem replay that go on with the run, each after a space, but for --resume.
func (m *RunManifest) Flags() string {
	flags := m.Plan.Flags()
	for _, name := range m.AllowProduction {
		flags += " --allow-production " + quote(name)
	}
	return flags
}

// quote writes an argument as shells take it.
func quote(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !isPlain(r) }) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// isPlain reports whether shells take r as it is.
func isPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("=_-.:/,+@", r)
}

func (p *Pace) ref() PaceRef {
	ref := PaceRef{Speed: p.Speed, Rate: p.Rate, RampMS: Milliseconds(p.Ramp), MaxRate: p.MaxRate}
	if p.Speed > 0 {
		ref.MaxGapMS = Milliseconds(p.MaxGap)
	}
	return ref
}
