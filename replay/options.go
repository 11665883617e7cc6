package replay

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"filippo.io/age"

	"tandem/capture"
	"tandem/capture/journal"
	"tandem/replay/completion"
	"tandem/replay/rewrite"
)

// Options say what [Run] fires at what, and when. Recording, Targets and Dir are needed.
type Options struct {
	Recording     *capture.Recording
	RecordingPath string // for the manifest
	// Targets has the deployments of each function. An invocation of another function gets a trial that says that
	// it is unreplayable.
	Targets map[string][]Deployment
	// Fire names the targets that are fired at where these are not all that functions have. It is for the manifest, and
	// for a run that is gone on with: Targets has no others.
	Fire []string
	Dir  string // the run's folder, which is made
	// Resume goes on with the run in Dir, if there is one. It must be of the same recording and the same selection,
	// repeats and calibration, and fire the same (FireHash) unless NewConfig is set.
	Resume    bool
	NewConfig bool

	// AllowProduction names the targets that are production and may be fired at, as FUNCTION/TARGET.
	AllowProduction []string

	Select Selection
	Repeat int // how many times the recording is replayed, each time from its begin; default 1
	// Calibrate fires each invocation twice at each target, the second time when all have answered the first, so that
	// a comparison can tell what differs by itself. Outcomes of the second firing are named "lambda#2".
	Calibrate bool
	WarmUp    WarmUp
	Pace      Pace
	StopOn    []StopRule

	// InFlight is how many invocations are fired at once, each at all of its targets; default 8, which keeps two
	// cores busy and is below what new accounts may run at once in Lambda (10).
	InFlight int
	// TargetTimeout is how long one target may take for one invocation, with retries and effects, until its outcome
	// is unknown; default 20 minutes, which is more than any function may run for.
	TargetTimeout time.Duration
	Retry         RetryPolicy

	// Journal says when trials are written, and whom they are encrypted to. Its Append is not used.
	Journal journal.WriterOptions
	// Identities open the trials of an encrypted run that is gone on with.
	Identities []age.Identity
	Progress   *Progress
	// Completions gives, at the end, what was heard of invocations that triggers do not answer; nil when nothing was.
	Completions func() *completion.Stats
	ConfigHash  string // of the whole config, for people
	FireHash    string // of what in it decides what is fired
	Tool        string // name and version of what makes the run

	coarse bool // keep to the clock of the runtime, which tests replace
}

// A WarmUp says what is fired before the run begins to count: the first invocations that are selected. They are fired
// as all others are, once, but have no trials. When both are set, whichever is over first ends it.
type WarmUp struct {
	Invocations int64
	For         time.Duration
}

// A Deployment is a target with its effects and with what the manifest says of it.
type Deployment struct {
	Name    string // in trials: "lambda", "functions"
	Kind    string // "lambda", "http", "handler"
	Address string // without secrets
	Target  Target
	// Environment says what depends on it. [Production] takes Options.AllowProduction.
	Environment Environment
	// Rewrite changes events before they are sent to it.
	Rewrite []rewrite.Change
	// Effects gives what an invocation did to the world; nil when nobody watches.
	Effects EffectsFunc
	// InFlight is how many invocations it takes at once; 0 when [Options].InFlight alone bounds them.
	InFlight int
	// RetrySafe says that the function may run twice for one invocation. Then what may have run already is fired
	// again, too: after a connection that broke, and after a failure of the platform's.
	RetrySafe bool
}

func (o Options) withDefaults() (Options, error) {
	for function, deployments := range o.Targets {
		seen := make(map[string]bool)
		for _, d := range deployments {
			if d.Name == "" || seen[d.Name] {
				return o, fmt.Errorf("function %s: its targets need names that differ, not %q", function, d.Name)
			}
			seen[d.Name] = true
			if _, err := rewrite.New(d.Rewrite, rewrite.Options{}); err != nil {
				return o, fmt.Errorf("function %s, target %s: rewrite: %w", function, d.Name, err)
			}
		}
	}
	switch {
	case o.Recording == nil:
		return o, errors.New("no recording to replay")
	case len(o.targetNames()) == 0:
		return o, errors.New("no targets to replay at")
	case o.WarmUp.Invocations < 0 || o.WarmUp.For < 0:
		return o, errors.New("a warm-up is below 0")
	}
	o.Repeat = max(o.Repeat, 1)
	if o.InFlight <= 0 {
		o.InFlight = 8
	}
	if o.TargetTimeout <= 0 {
		o.TargetTimeout = 20 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	var err error
	o.Pace, err = o.Pace.withDefaults()
	return o, err
}

// targetNames returns the names of all targets of all functions, sorted.
func (o *Options) targetNames() []string {
	names := make(map[string]bool)
	for _, deployments := range o.Targets {
		for _, d := range deployments {
			names[d.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// rounds is how often an invocation is fired at each target for one trial.
func (o *Options) rounds() int {
	if o.Calibrate {
		return 2
	}
	return 1
}

// outcomeName is the name of a target's outcome in a round, which counts from 0.
func outcomeName(target string, round int) string {
	if round == 0 {
		return target
	}
	return fmt.Sprintf("%s#%d", target, round+1)
}

func (o *Options) targetRefs() []TargetRef {
	var refs []TargetRef
	for _, function := range slices.Sorted(maps.Keys(o.Targets)) {
		for _, d := range o.Targets[function] {
			refs = append(refs, TargetRef{
				Function: function, Name: d.Name, Kind: d.Kind, Address: d.Address, InFlight: d.InFlight,
				RetrySafe: d.RetrySafe, Environment: d.Environment,
				Rewrite: rewriteRefs(d.Rewrite),
			})
		}
	}
	return refs
}

// checkWarmUp returns an error when nothing of what is fired in all would be left after the warm-up.
func (o *Options) checkWarmUp(fired int64) error {
	if o.WarmUp.Invocations > 0 && o.WarmUp.Invocations >= fired {
		return fmt.Errorf("a warm-up of %d invocations leaves nothing of the %d that are fired", o.WarmUp.Invocations, fired)
	}
	return nil
}

func (o *Options) stopRules() []string {
	var rules []string
	for _, rule := range o.StopOn {
		rules = append(rules, rule.String())
	}
	return rules
}

func (o *Options) plan() Plan {
	p := Plan{Only: o.Select.Only, Sample: o.Select.Sample, Repeat: o.Repeat, Calibrate: o.Calibrate, Fire: o.Fire}
	if p.Sample > 0 {
		p.Seed = o.Select.Seed
	}
	return p
}
