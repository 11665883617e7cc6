package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/config"
	"tandem/replay"
)

func (a *app) replayCommand() *cobra.Command {
	var out string
	var plan replayPlan
	cmd := &cobra.Command{
		Use:   "replay REC -o RUN",
		Short: "Fire a recording at every target and keep the outcomes",
		Long: `replay fires each invocation of a recording at all of its function's targets at
the same time and writes one trial an invocation to the folder RUN. Invocations
of one SQS message group, one S3 key or one Kinesis shard are fired one after
the other, in their order. The config says what each function's targets are.

Without --speed and --rate, invocations are fired as fast as --in-flight allows.
With one of them each is due at a time, and what cannot be fired then is late,
never left out. What a target refuses for want of capacity is fired again, and
fewer at once until it has recovered.

Ctrl-C stops firing and lets what is in flight finish; Ctrl-C again does not
wait. Such a run, one that a rule stopped (exit code 3), and one that was killed
are gone on with by --resume: no invocation gets a second trial. With
--recipient, the run is encrypted as a recording is.

Nothing is fired at a target whose environment is production in the config
unless --allow-production names it, nor at one on another machine that has none.

With --calibrate each invocation is fired twice at each target, effects and all.
Of such a run, compare can tell noise, such as fresh IDs and times, from what
the candidate does in another way.

--plan reads the recording and prints what would be fired where, how often, and
what cannot be and why. It opens no connection and writes nothing.`,
		Example: `  tandem replay orders.rec --plan
  tandem replay orders.rec -o orders.run
  tandem replay orders.rec -o orders.run --resume
  tandem replay orders.rec -o orders.run --speed 10x --in-flight 50
  tandem replay orders.rec -o orders.run --rate 200/s --ramp 30s --warm-up 100 \
    --stop-on 'errors>5%/30s'
  tandem replay orders.rec -o noise.run --only function=create-order \
    --sample 5% --seed 1 --calibrate --repeat 3`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := replay.Options{RecordingPath: args[0], Dir: out}
			if err := plan.fill(&opts); err != nil {
				return &usageError{cmd, err}
			}
			return a.replay(cmd.Context(), opts, &plan)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "output", "o", "", "`folder` to write the run to (required, but for --plan)")
	plan.addTo(f)
	return cmd
}

func (a *app) replay(ctx context.Context, opts replay.Options, plan *replayPlan) (err error) {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	recipients, err := plan.recipients.parse()
	if err != nil {
		return err
	}
	identities, err := plan.keys.parse()
	if err != nil {
		return err
	}
	path := opts.RecordingPath
	rec, err := a.openRecording(path, plan.salvage, identities)
	if err != nil {
		return err
	}
	defer rec.Close()
	opts.Recording = rec
	heard := newCompletions()
	if opts.Targets, err = buildTargets(ctx, cfg, rec, opts.InFlight, opts.Fire, heard); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTargets(opts.Targets)) }()
	if plan.dry {
		a.tellOneNamed(cfg)
		return a.forecast(ctx, opts, plan.json)
	}
	opts.Journal.Recipients, opts.Identities = recipients, identities
	manifest, err := a.makeRun(ctx, cfg, opts, plan, heard)
	if err != nil {
		return err
	}
	if manifest.Complete {
		a.say("judge it by: tandem compare %s%s%s", opts.Dir, a.configFlag(), judgeFlags(opts.Fire))
		return nil
	}
	a.say("go on with it by: tandem replay %s -o %s%s%s --resume", path, opts.Dir, a.configFlag(), manifest.Flags())
	if ctx.Err() != nil {
		return errInterrupted
	}
	a.say("stopped by %s", manifest.Stopped)
	return verdictError(exitInconclusive)
}

// makeRun fires a recording, with progress and metrics, and tells what became of it.
func (a *app) makeRun(ctx context.Context, cfg *config.Config, opts replay.Options, plan *replayPlan, heard *completions) (
	manifest *replay.RunManifest, err error) {
	if opts.Recording.Encrypted() && len(opts.Journal.Recipients) == 0 {
		a.say("%s is encrypted, and %s is not: --recipient encrypts what the targets answer", opts.RecordingPath, opts.Dir)
	}
	if os.Getenv("GOGC") == "" {
		// A replay keeps little and makes much garbage, so seldomer collections cost memory that it has to spare.
		defer debug.SetGCPercent(debug.SetGCPercent(400))
	}
	opts.ConfigHash, opts.FireHash, opts.Tool, opts.Progress = cfg.Hash, cfg.FireHash, toolVersion(), new(replay.Progress)
	var all servers
	defer func() { err = errors.Join(err, all.close()) }()
	if err := a.serveMetrics(&all, plan.metrics, opts.Progress); err != nil {
		return nil, err
	}
	if err := heard.start(ctx, a.say); err != nil {
		return nil, err
	}
	opts.Completions = heard.stats
	manifest, err = a.fire(ctx, plan.progress, opts)
	heard.stop(a.say)
	for _, notice := range opts.Recording.Notices() {
		a.say("%s", notice)
	}
	if manifest != nil {
		a.say("%s", runSummary(manifest))
	}
	return manifest, err
}

// judgeFlags are the flags of compare, each after a space, for a run that fired at these targets.
func judgeFlags(fire []string) string {
	if len(fire) != 1 {
		return ""
	}
	return " --baseline recording --candidate " + fire[0]
}

// configFlag is the flag, after a space, that names the same config in an advice.
func (a *app) configFlag() string {
	if a.configPath == "" {
		return ""
	}
	return " -c " + a.configPath
}

// fire runs a replay with its progress on stderr, as --progress says how. The end of ctx stops the firing; what is in
// flight may finish.
func (a *app) fire(ctx context.Context, how string, opts replay.Options) (*replay.RunManifest, error) {
	shown := startProgress(a.stderr, how, opts.Progress)
	defer shown.stop()
	defer context.AfterFunc(ctx, func() { shown.say("stopping: what is in flight may finish; Ctrl-C again does not wait") })()
	manifest, err := replay.Run(context.WithoutCancel(ctx), ctx, opts)
	var setup *replay.SetupError
	if errors.As(err, &setup) {
		err = fmt.Errorf("%w; nothing more was fired", err)
	}
	return manifest, err
}

// runSummary says what became of every invocation; the counts add up.
func runSummary(m *replay.RunManifest) string {
	c := m.Counts
	s := count(c.Invocations, "invocation")
	if c.LeftOut > 0 {
		s += fmt.Sprintf(" less %d left out", c.LeftOut)
	}
	if m.Plan.Repeat > 1 {
		s += fmt.Sprintf(", each %d times", m.Plan.Repeat)
	}
	s += ": " + count(c.Trials, "trial")
	if c.WarmedUp > 0 {
		s += fmt.Sprintf(", %d to warm up", c.WarmedUp)
	}
	s += fmt.Sprintf(", %d not reached", c.NotReached)
	for _, reason := range slices.Sorted(maps.Keys(c.Unreplayable)) {
		s += fmt.Sprintf("\n  %s not sent: %s", count(c.Unreplayable[reason], "outcome"), reason)
	}
	for _, target := range slices.Sorted(maps.Keys(c.Outcomes)) {
		for _, status := range []capture.Status{capture.StatusThrottled, capture.StatusTransport, capture.StatusUnknown} {
			if n := c.Outcomes[target][status]; n > 0 {
				s += fmt.Sprintf("\n  %s of %s not known: %s", count(n, "outcome"), target, status)
			}
		}
	}
	for _, ref := range m.Targets {
		if ref.Throttled > 0 {
			s += fmt.Sprintf("\n  %s refused %s of %s for want of capacity, and was fired at %d at once at the lowest",
				ref.Name, count(ref.Throttled, "request"), ref.Function, ref.LowestInFlight)
		}
	}
	return s + unheard(m) + rewriting(m) + lateness(m)
}

// rewriting names the rules that took no value, in a run that was made in one session, and what was not signed anew.
func rewriting(m *replay.RunManifest) (s string) {
	for _, ref := range m.Targets {
		for _, rule := range ref.Rewrite {
			where := fmt.Sprintf("\n  the rewrite at %s for %s of %s", rule.At, ref.Name, ref.Function)
			switch {
			case rule.Unsigned > 0:
				s += fmt.Sprintf("%s left %s as recorded, which cannot be signed anew", where, count(rule.Unsigned, "value"))
			case rule.Values == 0 && len(m.Resumed) == 0:
				s += where + " took no value"
			}
		}
	}
	return s
}

// veryLate is when lateness is worth a word: when people would see it.
const veryLate = 100 // ms

// lateness says so when invocations were fired long after they were due.
func lateness(m *replay.RunManifest) string {
	late := m.Pace.LateMS
	if late == nil || late.P99 < veryLate {
		return ""
	}
	ms := func(v float64) time.Duration { return round(time.Duration(v * float64(time.Millisecond))) }
	return fmt.Sprintf("\n  fired late: half by up to %v, one in a hundred by more than %v: lanes, refusals, or "+
		"--in-flight %d held them back", ms(late.P50), ms(late.P99), m.InFlight)
}
