package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/config"
	"tandem/replay"
)

type demoOptions struct {
	fixed    bool
	mistakes string
	dir      string
	programs string
	times    int
	json     bool
}

func (a *app) demoCommand() *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Record, replay and compare the sample application, end to end",
		Long: `demo runs the sample application, a small shop, on an embedded Lambda platform,
sends it traffic and records that. Then it fires the recording at the
application and at its Azure Functions port, at the same time, and compares.
The port has typical mistakes, and demo exits with 1; with --fixed it has none,
and demo exits with 0.

The recording, the config and the run stay in a folder, to look at and to try
the other commands on.`,
		Example: `  tandem demo
  tandem demo --fixed
  tandem demo --mistakes float-money,cookie-lost`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), opts) },
	}
	f := cmd.Flags()
	f.BoolVar(&opts.fixed, "fixed", false, "without the mistakes")
	f.StringVar(&opts.mistakes, "mistakes", "all", "mistakes that the port has, `names` separated by commas")
	f.StringVarP(&opts.dir, "output", "o", "", "`folder` for what is made (default: a temporary one)")
	f.StringVar(&opts.programs, "programs", "", "`folder` of the built sample (default: orders, beside tandem)")
	f.IntVar(&opts.times, "times", 1, "how much traffic, in `multiples` of the least of every kind")
	f.BoolVar(&opts.json, "json", false, "print the report as one JSON document")
	return cmd
}

func (a *app) demo(ctx context.Context, opts demoOptions) error {
	d, err := a.newDemo(opts)
	if err != nil {
		return err
	}
	defer d.log.Close()
	a.say("1. record: the sample application on Lambda, under traffic")
	if err := d.record(ctx); err != nil {
		return d.explain(err)
	}
	a.say("2. replay: each invocation at Lambda and at the Functions port")
	if err := d.replay(ctx); err != nil {
		return d.explain(err)
	}
	a.say("3. compare: what both answered, and what both did\n")
	report, err := d.compare(ctx)
	if err != nil {
		return err
	}
	verdict := a.printReport(report, opts.json, reportFlags{})
	a.say("\nall of it is in %s; try", d.dir)
	a.say("  tandem inspect %s", d.path("orders.rec"))
	a.say("  tandem compare %s -c %s", d.path("orders.run"), d.path(config.DefaultName))
	return verdict
}

// demo is one demonstration.
type demo struct {
	*app
	opts      demoOptions
	programs  string
	dir       string
	log       *os.File // what the platforms and the functions write
	resources effects.Resources
	rec       *capture.Recording // once it was recorded
	manifest  *replay.RunManifest
}

func (a *app) newDemo(opts demoOptions) (*demo, error) {
	d := &demo{app: a, opts: opts, programs: opts.programs, dir: opts.dir, resources: effects.Resources{
		"orders-bucket":       {AWS: "s3://orders", Azure: "azblob://devstoreaccount1/orders"},
		"catalog-bucket":      {AWS: "s3://catalog", Azure: "azblob://devstoreaccount1/catalog"},
		"orders-queue":        {AWS: "sqs://orders", Azure: "azqueue://devstoreaccount1/orders"},
		"rejected-queue":      {AWS: "sqs://rejected", Azure: "azqueue://devstoreaccount1/rejected"},
		"notifications-queue": {AWS: "sqs://notifications", Azure: "azqueue://devstoreaccount1/notifications"},
	}}
	if d.programs == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the sample application: %w", err)
		}
		d.programs = filepath.Join(filepath.Dir(self), "orders")
	}
	if _, err := os.Stat(filepath.Join(d.programs, "driver")); err != nil {
		return nil, fmt.Errorf("the sample application is not in %s: build it with make build, or say where it is with "+
			"--programs", d.programs)
	}
	var err error
	if d.dir == "" {
		d.dir, err = os.MkdirTemp("", "tandem-demo-")
	} else {
		err = os.Mkdir(d.dir, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("folder for the demo: %w", err)
	}
	d.log, err = os.Create(d.path("functions.log"))
	return d, err
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// explain adds where to look when a part of the demo failed.
func (d *demo) explain(err error) error {
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w (what the functions wrote is in %s)", err, d.log.Name())
}
