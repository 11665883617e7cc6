package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/drain"
	"tandem/capture/redact"
)

// tapFlags are the flags of commands that drain a queue.
type tapFlags struct {
	awsFlags
	queue, lambdaEndpoint string
	production, json      bool
	maxMessages           int64
	idle, visibility      time.Duration
	keys                  identityFlags
}

func (f *tapFlags) register(cmd *cobra.Command) {
	f.awsFlags.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.queue, "queue", "", "name, URL or ARN of the tap `queue`")
	flags.BoolVar(&f.production, "drain-production", false, "do not look whether the queue has an event source mapping")
	flags.StringVar(&f.lambdaEndpoint, "lambda-endpoint", "", "`URL` of Lambda's API, if not AWS's (default --endpoint)")
	flags.Int64Var(&f.maxMessages, "max-messages", 0, "end when `N` messages are recorded")
	flags.DurationVar(&f.idle, "idle", 0, "end when nothing came for so long")
	flags.DurationVar(&f.visibility, "visibility", time.Minute,
		"after what time messages come again that a kill left; what is held longer is kept")
	flags.BoolVar(&f.json, "json", false, "print the counts as one JSON document")
	f.keys.register(flags)
}

func (f tapFlags) validate(out recordingFlags) error {
	switch {
	case out.out == "-":
		return errors.New("-o -: a message is deleted when it is on disk, which stdout is not: give a folder or a file")
	case f.maxMessages < 0 || f.idle < 0:
		return errors.New("--max-messages and --idle cannot be less than 0")
	case f.visibility < time.Second || f.visibility > 12*time.Hour || f.visibility%time.Second != 0:
		return fmt.Errorf("--visibility: %s is not whole seconds from 1s to 12h", f.visibility)
	}
	return nil
}

var queueHost = regexp.MustCompile(`^https://(?:[^/]*\.)?sqs\.([a-z0-9-]+)\.`)

// config is that of the region which the queue's ARN or URL names.
func (f tapFlags) config(ctx context.Context) (aws.Config, error) {
	if f.region == "" {
		f.region = drain.RegionOf(f.queue)
	}
	if host := queueHost.FindStringSubmatch(f.queue); host != nil && f.region == "" {
		f.region = host[1]
	}
	return f.awsFlags.config(ctx)
}

func (f tapFlags) newLambdaClient(cfg aws.Config) *lambda.Client {
	return lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		for _, endpoint := range []string{f.endpoint, f.lambdaEndpoint} {
			if endpoint != "" {
				o.BaseEndpoint = &endpoint
			}
		}
	})
}

// options are those of the drain, but for the Queue, Known and what the source sets.
func (f tapFlags) options(cfg aws.Config, logf func(string, ...any)) drain.Options {
	client := sqs.NewFromConfig(cfg, func(o *sqs.Options) {
		if f.endpoint != "" {
			o.BaseEndpoint = &f.endpoint
		}
	})
	return drain.Options{
		Client: client, MaxMessages: f.maxMessages, Idle: f.idle, Visibility: f.visibility, Logf: logf,
	}
}

// findTap finds the queue and makes sure that it is a tap.
func (a *app) findTap(ctx context.Context, f tapFlags, client drain.Client, lambdas *lambda.Client) (
	drain.Queue, error) {
	q, err := drain.Find(ctx, client, f.queue)
	if err != nil {
		return q, err
	}
	if f.production {
		a.say("%s is drained whether or not functions get its messages", q.Name)
	} else if err := drain.CheckTap(ctx, lambdas, q.ARN); err != nil {
		return q, fmt.Errorf("%w; --drain-production drains it all the same", err)
	}
	if q.InFlight > 0 {
		a.say("%s has %s in flight: somebody else receives from it, or did so lately", q.Name, count(q.InFlight, "message"))
	}
	if q.DeadLetters != "" {
		a.say("%s gives messages that were received %s to %s, unrecorded",
			q.Name, count(q.MaxReceives, "time"), q.DeadLetters)
	}
	return q, nil
}

// SQS keeps messages for 14 days, so what is older cannot come again. The day more is for clocks.
const messagesComeAgainFor = 15 * 24 * time.Hour

// knowRecorded adds what a recording that is appended to has, to what is known.
func (a *app) knowRecorded(ctx context.Context, known *drain.IDs, out recordingFlags, keys identityFlags,
	of func(*capture.Invocation) []string) error {
	if !out.append {
		return nil
	}
	identities, err := keys.parse()
	if err != nil {
		return err
	}
	rec, err := a.openRecording(out.out, false, identities)
	if err != nil {
		return err
	}
	defer rec.Close()
	tokens := 0
	n, err := known.AddRecorded(ctx, rec, time.Now().Add(-messagesComeAgainFor), func(inv *capture.Invocation) []string {
		ids := of(inv)
		for _, id := range ids {
			if redact.IsIDToken(id) {
				tokens++
			}
		}
		return ids
	})
	if err == nil && tokens > 0 {
		return fmt.Errorf("%s has tokens for %s, so those that come again would be recorded twice: "+
			"record into another one, with {name: messageId, keep: true} in the config's redact",
			out.out, count(int64(tokens), "message ID"))
	}
	if n > 0 {
		a.say("%s has %s that may come again", out.out, count(n, "message"))
	}
	return err
}

// askLeft asks how many messages are in the queue, also when ctx has ended.
func (a *app) askLeft(ctx context.Context, o drain.Options) (*int64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	q, err := drain.Find(ctx, o.Client, o.Queue.URL)
	if err != nil {
		return nil, err
	}
	n := q.Messages + q.InFlight
	return &n, nil
}

// sayDrained says what is not as it should be, and what is left in the queue.
func (a *app) sayDrained(c drain.Counts, inQueue *int64) {
	if c.Refused > 0 {
		a.say("  %d refused: they stay in the queue", c.Refused)
	}
	if c.FailedDeletes > 0 {
		a.say("  %s failed: such messages come again, and --append knows them", count(c.FailedDeletes, "deletion"))
	}
	if inQueue != nil {
		a.say("  about %d left in the queue", *inQueue)
	}
}
