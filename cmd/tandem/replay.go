package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/journal"
	"tandem/replay"
)

type replayOptions struct {
	out                        string
	inFlight                   int
	timeout                    time.Duration
	resume, newConfig, salvage bool
	recipients                 recipientFlags
	keys                       identityFlags
}

func (a *app) replayCommand() *cobra.Command {
	var opts replayOptions
	cmd := &cobra.Command{
		Use:   "replay REC -o RUN",
		Short: "Fire a recording at every target and keep the outcomes",
		Long: `replay fires each invocation of a recording at all of its function's targets at
the same time and writes one trial an invocation to the folder RUN. Invocations
of one SQS message group or one S3 key are fired one after the other, in their
order. The config says what the targets of each function are.

Ctrl-C stops firing and lets what is in flight finish; Ctrl-C again does not
wait. Such a run, and one that was killed, is gone on with by --resume: no
invocation gets a second trial. With --recipient, the run is encrypted as a
recording is.`,
		Example: `  tandem replay orders.rec -o orders.run
  tandem replay orders.rec -o orders.run --resume`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.replay(cmd.Context(), args[0], opts) },
	}
	f := cmd.Flags()
	f.StringVarP(&opts.out, "output", "o", "", "`folder` to write the run to (required)")
	f.IntVar(&opts.inFlight, "in-flight", 8, "`number` of invocations to fire at once")
	f.DurationVar(&opts.timeout, "timeout", 20*time.Minute, "longest that one target may take for one invocation")
	f.BoolVar(&opts.resume, "resume", false, "go on with the run in the output folder")
	f.BoolVar(&opts.newConfig, "new-config", false, "with --resume: go on although the config has changed")
	f.BoolVar(&opts.salvage, "salvage", false, "skip what is damaged, and tell how much")
	opts.recipients.register(f)
	opts.keys.register(f)
	cobra.CheckErr(cmd.MarkFlagRequired("output"))
	return cmd
}

func (a *app) replay(ctx context.Context, path string, opts replayOptions) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	recipients, err := opts.recipients.parse()
	if err != nil {
		return err
	}
	identities, err := opts.keys.parse()
	if err != nil {
		return err
	}
	rec, err := a.openRecording(path, opts.salvage, identities)
	if err != nil {
		return err
	}
	defer rec.Close()
	if rec.Encrypted() && len(recipients) == 0 {
		a.say("%s is encrypted, and %s is not: --recipient encrypts what the targets answer", path, opts.out)
	}
	targets, err := buildTargets(ctx, cfg, rec, opts.inFlight)
	if err != nil {
		return err
	}
	progress := new(replay.Progress)
	manifest, err := a.fire(ctx, progress, replay.Options{
		Recording: rec, RecordingPath: path, Targets: targets, Dir: opts.out, Resume: opts.resume, NewConfig: opts.newConfig,
		InFlight: opts.inFlight, TargetTimeout: opts.timeout, Progress: progress, ConfigHash: cfg.Hash, Tool: toolVersion(),
		Journal: journal.WriterOptions{Recipients: recipients}, Identities: identities,
	})
	for _, notice := range rec.Notices() {
		a.say("%s", notice)
	}
	if manifest != nil {
		a.say("%s", runSummary(manifest))
	}
	if err != nil {
		return err
	}
	if !manifest.Complete {
		a.say("go on with it by: tandem replay %s -o %s%s --resume", path, opts.out, a.configFlag())
		return errInterrupted
	}
	a.say("judge it by: tandem compare %s%s", opts.out, a.configFlag())
	return nil
}

// configFlag is the flag, after a space, that names the same config in an advice.
func (a *app) configFlag() string {
	if a.configPath == "" {
		return ""
	}
	return " -c " + a.configPath
}

// fire runs a replay with its progress on stderr. The end of ctx stops the firing; what is in flight may finish.
func (a *app) fire(ctx context.Context, progress *replay.Progress, opts replay.Options) (*replay.RunManifest, error) {
	shown := startProgress(a.stderr, progress)
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
	s := fmt.Sprintf("%s: %s, %d not reached", count(c.Invocations, "invocation"), count(c.Trials, "trial"), c.NotReached)
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
	return s
}
