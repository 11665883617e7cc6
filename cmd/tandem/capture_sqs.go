package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tandem/capture/drain"
	"tandem/capture/sqstap"
)

type captureSQSOptions struct {
	out                        recordingFlags
	tap                        tapFlags
	function, asQueue, mapping string
	batchSize                  int
	batchWindow                time.Duration
}

func (a *app) captureSQSCommand() *cobra.Command {
	var opts captureSQSOptions
	cmd := &cobra.Command{
		Use:   "sqs --queue QUEUE --function NAME -o REC",
		Short: "Record invocations from a tap queue",
		Long: `sqs drains a tap queue: a queue of its own that gets what the production queue
gets, by a second subscription, target or send. It makes of the messages the
batches that the function would get, each one invocation. A message is deleted
from the tap only when it is on disk, and recorded once however often it comes.

It refuses a queue that has an event source mapping, because what it drains is
gone for the function. It runs until Ctrl-C, --idle or --max-messages. With
--append it goes on, also after a kill, with nothing lost and nothing doubled.`,
		Example: `  tandem capture sqs --queue orders-tap --function process-order \
      --like-mapping orders-process -o orders.rec
  tandem capture sqs --function f -o f.rec --append --idle 1m --json \
      --queue https://sqs.eu-west-1.amazonaws.com/111122223333/tap \
      --as-queue arn:aws:sqs:eu-west-1:111122223333:orders --batch-size 5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.captureSQS(cmd.Context(), opts, cmd.Flags().Changed)
		},
	}
	opts.out.register(cmd)
	opts.tap.register(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.function, "function", "",
		"`name` of the function that gets the production queue's messages (required)")
	f.StringVar(&opts.mapping, "like-mapping", "", "take batch size, window and queue from the function's event source "+
		"mapping: its `UUID`, or the name of a function that has one")
	f.StringVar(&opts.asQueue, "as-queue", "", "`ARN` of the production queue, which stands in events as their source "+
		"(default that of --like-mapping, or the tap's own)")
	f.IntVar(&opts.batchSize, "batch-size", 10, "messages an invocation gets at most")
	f.DurationVar(&opts.batchWindow, "batch-window", 0, "how long a batch waits for more messages")
	cobra.CheckErr(cmd.MarkFlagRequired("queue"))
	cobra.CheckErr(cmd.MarkFlagRequired("function"))
	return cmd
}

func (a *app) captureSQS(ctx context.Context, opts captureSQSOptions, given func(flag string) bool) error {
	if err := opts.tap.validate(opts.out); err != nil {
		return err
	}
	cfg, err := opts.tap.config(ctx)
	if err != nil {
		return err
	}
	lambdas := opts.tap.newLambdaClient(cfg)
	o := sqstap.Options{Function: opts.function, AsQueue: opts.asQueue, Drain: opts.tap.options(cfg, a.say)}
	o.Drain.BatchSize, o.Drain.BatchWindow = opts.batchSize, opts.batchWindow
	if opts.mapping == "" {
		if err := validateBatches(o); err != nil {
			return err
		}
	} else {
		m, err := drain.FindMapping(ctx, lambdas, opts.mapping)
		if err != nil {
			return err
		}
		a.applyMapping(&o, m, given)
	}
	if o.Drain.Queue, err = a.findTap(ctx, opts.tap, o.Drain.Client, lambdas); err != nil {
		return err
	}
	if err := validateBatches(o); err != nil {
		return err
	}
	if o.AsQueue == "" {
		a.say("events will name the tap as their source, %s; --as-queue names another", o.Drain.Queue.ARN)
	}
	known := new(drain.IDs)
	o.Drain.Known = known
	defer known.Close()
	w, err := a.createRecording(opts.out)
	if err != nil {
		return err
	}
	o.Sink = w
	err = a.knowRecorded(ctx, known, opts.out, opts.tap.keys, sqstap.MessageIDs)
	if err == nil {
		a.say("draining %s to %s; Ctrl-C ends it", o.Drain.Queue.Name, opts.out.out)
		var counts sqstap.Counts
		counts, err = sqstap.Capture(ctx, o)
		err = errors.Join(err, a.tellDrained(ctx, o.Drain, counts, opts.tap.json))
	}
	return a.closeRecording(w, err)
}

func validateBatches(o sqstap.Options) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("%w: see --batch-size, --batch-window and --as-queue", err)
	}
	return nil
}

// applyMapping sets what was not given by flags to what the mapping has.
func (a *app) applyMapping(o *sqstap.Options, m drain.Mapping, given func(flag string) bool) {
	if !given("batch-size") && m.BatchSize > 0 {
		o.Drain.BatchSize = m.BatchSize
	}
	if !given("batch-window") {
		o.Drain.BatchWindow = m.BatchWindow
	}
	if o.AsQueue == "" {
		o.AsQueue = m.Queue
	}
	a.say("like %s: batches of %d, window %s, from %s", m, o.Drain.BatchSize, o.Drain.BatchWindow, o.AsQueue)
	if m.Filtered {
		a.say("the mapping has filter criteria, which are not applied: the recording will have messages that the " +
			"function does not get")
	}
}

// tellDrained says what became of all that was received.
func (a *app) tellDrained(ctx context.Context, o drain.Options, c sqstap.Counts, asJSON bool) error {
	inQueue, err := a.askLeft(ctx, o)
	if err != nil {
		a.say("how much is left in the queue is not known: %v", err)
	}
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Queue string `json:"queue"`
			sqstap.Counts
			InQueue *int64 `json:"inQueue"` // null when it is not known
		}{o.Queue.ARN, c, inQueue})
	}
	a.say("%s received: %d recorded in %s, %d came again, %d given back", count(c.Received, "message"), c.Recorded,
		count(c.Invocations, "invocation"), c.Redelivered, c.Left)
	a.sayDrained(c.Counts, inQueue)
	return nil
}
