package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tandem/capture"
	"tandem/compare"
	"tandem/config"
	"tandem/replay"
)

type gateOptions struct {
	out, run  string
	list      bool
	plan      replayPlan
	reports   reportFlags
	recording string // REC, "" for that of the run
}

func (a *app) gateCommand() *cobra.Command {
	var opts gateOptions
	cmd := &cobra.Command{
		Use:   "gate NAME REC",
		Short: "Fire a recording, compare and judge, as a gate of the config says",
		Long: `gate fires a recording at the targets that the gate NAME names, compares what
they did with the gate's baseline, and judges whether what it requires holds.
The exit code is the verdict: 0 all of it does (parity), 1 something is known
not to (differs), 3 it is not known (inconclusive); the report then says what is
missing, and how many more trials it takes.

The config's gates are under gates. Four are ready without: pre-cutover,
in-window, post-cutover and post-failback. --list prints them.

With --run, a run that is there is judged, and nothing is fired; REC may then be
left out where the run says what it replayed.

The flags that say what is fired when are those of tandem replay.`,
		Example: `  tandem gate --list
  tandem gate pre-cutover orders.rec
  tandem gate pre-cutover orders.rec -o friday.run --rate 50/s --json
  tandem gate pre-cutover orders.rec -o friday.run --resume
  tandem gate pre-cutover --run friday.run`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case opts.list:
				return cobra.NoArgs(cmd, args)
			case opts.run != "":
				return cobra.RangeArgs(1, 2)(cmd, args)
			}
			return cobra.ExactArgs(2)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.list {
				return a.listGates()
			}
			if len(args) > 1 {
				opts.recording = args[1]
			}
			fires := replay.Options{RecordingPath: opts.recording, Dir: opts.out}
			if fires.Dir == "" {
				fires.Dir = args[0] + ".run"
			}
			plan := opts.plan
			plan.json = false // it is of the report here
			if err := plan.fill(&fires); err != nil {
				return &usageError{cmd, err}
			}
			if err := opts.checkFlags(cmd.Flags()); err != nil {
				return &usageError{cmd, err}
			}
			return a.gate(cmd.Context(), args[0], fires, &opts)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&opts.out, "output", "o", "", "`folder` to write the run to (default: NAME.run)")
	f.StringVar(&opts.run, "run", "", "judge this `run`, and fire nothing")
	f.BoolVar(&opts.list, "list", false, "print the gates that there are")
	opts.plan.addTo(f)
	f.Lookup("json").Usage = "print the report as one JSON document; with --plan: what would be fired"
	opts.reports.addTo(f)
	if err := f.MarkHidden("fire"); err != nil {
		panic(err) // it was added above
	}
	cmd.MarkFlagsMutuallyExclusive("list", "json")
	return cmd
}

// checkFlags refuses flags that would have no effect.
func (o *gateOptions) checkFlags(f *pflag.FlagSet) (err error) {
	if f.Changed("fire") {
		return errors.New("--fire: the gate says what is fired")
	}
	if o.run == "" {
		return nil
	}
	judging := []string{"run", "json", "salvage", "identity", "junit", "markdown", "config"}
	f.Visit(func(flag *pflag.Flag) {
		if err == nil && !slices.Contains(judging, flag.Name) {
			err = fmt.Errorf("--%s says how a run is made, and --run names one that is there", flag.Name)
		}
	})
	return err
}

func (a *app) gate(ctx context.Context, name string, fires replay.Options, opts *gateOptions) error {
	var sections []string
	if opts.run != "" {
		sections = []string{"rules", "gates", "prices"}
	}
	cfg, err := a.config(sections...)
	if err != nil {
		return err
	}
	gate, err := findGate(cfg, name)
	if err != nil {
		return err
	}
	identities, err := opts.plan.keys.parse()
	if err != nil {
		return err
	}
	j := gateJudging{app: a, name: name, gate: gate, cfg: cfg, identities: identities, opts: opts}
	if opts.run != "" {
		return j.judge(ctx, opts.run, nil)
	}
	if _, err := j.otherRun(); err != nil { // before anything is fired
		return err
	}
	rec, err := a.openRecording(opts.recording, opts.plan.salvage, identities)
	if err != nil {
		return err
	}
	defer rec.Close()
	fires.Recording = rec
	if err := j.fire(ctx, fires); err != nil || opts.plan.dry {
		return err
	}
	return j.judge(ctx, fires.Dir, rec)
}

// findGate returns a gate of the config or a ready one, with its defaults.
func findGate(cfg *config.Config, name string) (config.Gate, error) {
	gates, err := cfg.AllGates()
	if err != nil {
		return config.Gate{}, err
	}
	gate, ok := gates[name]
	if !ok {
		return gate, fmt.Errorf("there is no gate %q, but %s", name, strings.Join(slices.Sorted(maps.Keys(gates)), ", "))
	}
	return gate.WithDefaults(), nil
}

// gateJudging is one call of tandem gate.
type gateJudging struct {
	*app
	name       string
	gate       config.Gate
	cfg        *config.Config
	identities []age.Identity
	opts       *gateOptions
}

// fire makes the run, or says what it would be. A run that a rule stopped is judged all the same.
func (j *gateJudging) fire(ctx context.Context, opts replay.Options) (err error) {
	if len(j.gate.Fire) == 1 {
		opts.Fire = j.gate.Fire
	}
	opts.Calibrate = opts.Calibrate || j.gate.Require.Calibrate
	heard := newCompletions()
	if opts.Targets, err = buildTargets(ctx, j.cfg, opts.Recording, opts.InFlight, opts.Fire, heard); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTargets(opts.Targets)) }()
	plan := &j.opts.plan
	if plan.dry {
		return j.forecast(ctx, opts, plan.json)
	}
	if opts.Journal.Recipients, err = plan.recipients.parse(); err != nil {
		return err
	}
	opts.Identities = j.identities
	manifest, err := j.makeRun(ctx, j.cfg, opts, plan, heard)
	if err != nil {
		return err
	}
	if manifest.Complete {
		return nil
	}
	own := *manifest // without what the gate says itself
	own.Plan.Fire, own.Plan.Calibrate = nil, own.Plan.Calibrate && !j.gate.Require.Calibrate
	j.say("go on with it by: tandem gate %s %s -o %s%s%s --resume", j.name, opts.RecordingPath, opts.Dir, j.configFlag(),
		own.Flags())
	if ctx.Err() != nil {
		return errInterrupted
	}
	j.say("stopped by %s", manifest.Stopped)
	return nil
}

// judge compares a run and prints the report. Rec is what it replayed, nil when nobody has opened it yet.
func (j *gateJudging) judge(ctx context.Context, path string, rec *capture.Recording) error {
	run, err := replay.OpenRun(path, replay.RunOptions{Salvage: j.opts.plan.salvage, Identities: j.identities})
	if err != nil {
		return err
	}
	if rec == nil {
		if rec, err = j.openReplayed(run); err != nil {
			return err
		}
		if rec != nil {
			defer rec.Close()
		}
	}
	opts, err := comparison(j.cfg)
	if err != nil {
		return err
	}
	opts.Baseline, opts.Candidate, opts.Salvage = j.gate.Against, j.gate.Candidate(), j.opts.plan.salvage
	opts.Gate = &compare.Gate{Name: j.name, Require: j.gate.Requirements()}
	if rec != nil {
		opts.Events = eventsOf(rec, run.Manifest(), j.opts.plan.salvage)
		if opts.Inventory, err = compare.TakeInventory(ctx, rec, j.opts.recording); err != nil {
			return err
		}
		if m := run.Manifest(); m != nil && m.Recording.Hash != opts.Inventory.Hash {
			j.say("%s is not the recording that %s replayed: coverage is of what it has", j.opts.recording, path)
		}
	}
	r, err := j.compareWith(ctx, run, opts)
	if err != nil {
		return err
	}
	return j.printReport(r, j.opts.plan.json, j.opts.reports)
}

// compareWith compares with the gate's baseline: an outcome of the run, or another run.
func (j *gateJudging) compareWith(ctx context.Context, run *replay.RunReader, opts compare.Options) (
	*compare.Report, error) {
	base, err := j.otherRun()
	if err != nil {
		return nil, err
	}
	if base == nil {
		return compare.Run(ctx, run, opts)
	}
	opts.Baseline = ""
	name := strings.TrimPrefix(j.gate.Against, config.RunPrefix)
	return compare.Runs(ctx, run, compare.Other{Run: base, Name: name}, opts)
}

// otherRun opens the run that the gate compares with; nil where that is none.
func (j *gateJudging) otherRun() (*replay.RunReader, error) {
	path, ok := strings.CutPrefix(j.gate.Against, config.RunPrefix)
	if !ok {
		return nil, nil
	}
	run, err := replay.OpenRun(path, replay.RunOptions{Salvage: j.opts.plan.salvage, Identities: j.identities})
	if err != nil {
		return nil, fmt.Errorf("the gate %s is against an earlier run: %w", j.name, err)
	}
	return run, nil
}

// openReplayed opens the recording that was given, or the one that the run names. It returns nil where that is not to be
// had, which makes what depends on it unknown.
func (j *gateJudging) openReplayed(run *replay.RunReader) (*capture.Recording, error) {
	if j.opts.recording != "" {
		return j.openRecording(j.opts.recording, j.opts.plan.salvage, j.identities)
	}
	m := run.Manifest()
	if m == nil || m.Recording.Path == "" || m.Recording.Path == "-" {
		j.say("the run does not say which recording it replayed: name it, to know what was covered")
		return nil, nil
	}
	rec, err := j.openRecording(m.Recording.Path, j.opts.plan.salvage, j.identities)
	if err != nil {
		j.say("what was covered is not known without the recording: %v", err)
		return nil, nil
	}
	j.opts.recording = m.Recording.Path
	return rec, nil
}

// listGates prints the gates, as a config has them.
func (a *app) listGates() error {
	cfg, err := a.config("gates")
	if err != nil {
		return err
	}
	if len(cfg.Gates) > 0 {
		if _, err := fmt.Fprintf(a.stdout, "# The config has its own: %s\n\n",
			strings.Join(slices.Sorted(maps.Keys(cfg.Gates)), ", ")); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.stdout, "# Ready without a config, unless it has one of the name:\n\n%s", config.ReadyGatesYAML)
	return err
}
