package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/effects"
)

func (a *app) localCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run an embedded Lambda or Functions platform",
		Long: `local runs your own functions on this machine, without a cloud or containers, so
that a replay can fire at them.`,
		Example: `  tandem local lambda --addr 127.0.0.1:9001 --function f=./create-order
  tandem local functions --addr 127.0.0.1:7071 --app ./functionsapp`,
	}
	cmd.AddCommand(a.localLambdaCommand(), a.localFunctionsCommand())
	return cmd
}

// watchFlags are the flags of platforms that can watch what functions do.
type watchFlags struct {
	effects bool
	storage string
	objects string
	keys    identityFlags
}

func (w *watchFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.effects, "effects", false,
		"stand in for storage and queues, and tell replays what was done to them")
	cmd.Flags().StringVar(&w.storage, "storage", "", "with --effects: `address` to put objects that functions read")
	cmd.Flags().StringVar(&w.objects, "objects", "", "with --effects: `recording` whose objects can be read")
	w.keys.register(cmd.Flags())
}

// watch is a recording endpoint and the recording that it serves objects of; the zero value has neither.
type watch struct {
	server *effects.Server
	rec    *capture.Recording
}

// openEffects returns the recording endpoint that the flags ask for.
func (a *app) openEffects(ctx context.Context, flags watchFlags) (w watch, err error) {
	if !flags.effects {
		if flags.objects != "" || flags.storage != "" {
			return w, errors.New("--objects and --storage need --effects")
		}
		return w, nil
	}
	cfg, err := a.config("resources")
	if err != nil {
		return w, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(a))
		}
	}()
	if w.server, err = effects.NewServer(effects.Options{Resources: cfg.Resources}); err != nil {
		return w, err
	}
	if flags.storage != "" {
		port, err := w.server.ListenOn(flags.storage)
		if err != nil {
			return w, err
		}
		a.say("storage on http://%s: S3, and Blob storage under /blob/ACCOUNT", port.Addr())
	}
	if flags.objects == "" {
		return w, nil
	}
	identities, err := flags.keys.parse()
	if err != nil {
		return w, err
	}
	if w.rec, err = a.openRecording(flags.objects, false, identities); err != nil {
		return w, err
	}
	if err := pinObjects(ctx, w.server, w.rec); err != nil {
		return w, fmt.Errorf("read the objects of %s: %w", flags.objects, err)
	}
	return w, nil
}

// close is called when no function runs any more. It tells what no report will show.
func (w *watch) close(a *app) error {
	var err error
	if w.server != nil {
		a.tellEffects(w.server.Stats())
		err = w.server.Close()
	}
	if w.rec != nil {
		err = errors.Join(err, w.rec.Close())
	}
	return err
}

// pinObjects makes the objects of a recording readable. The recording must stay open.
func pinObjects(ctx context.Context, server *effects.Server, rec *capture.Recording) error {
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		server.Pin(inv, rec.OpenObject)
	}
	return nil
}

// tellEffects says what a recording endpoint saw that no report will show.
func (a *app) tellEffects(s effects.Stats) {
	if s.Unattributed > 0 {
		a.say("%s outside of any invocation, in no trial", count(s.Unattributed, "effect"))
	}
	if s.Dropped > 0 {
		a.say("the effects of %s were never asked for and were dropped", count(s.Dropped, "invocation"))
	}
	for _, operation := range s.UnsupportedOperations {
		a.say("a function called what the recording endpoint does not know: %s", operation)
	}
}

// nameAndValue splits what has the form of NAME=VALUE.
func nameAndValue(flag, form, s string) (name, value string, err error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" || value == "" {
		return "", "", fmt.Errorf("%s %q: write it as %s", flag, s, form)
	}
	return name, value, nil
}
