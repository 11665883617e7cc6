package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/replay/local"
)

type localLambdaOptions struct {
	addr        string
	functions   []string
	env         []string
	concurrency int
	timeout     time.Duration
	memory      int
	noQueue     bool
	watch       watchFlags
	record      recordingFlags
	api         string
	routes      []string
	destination string
}

func (a *app) localLambdaCommand() *cobra.Command {
	var opts localLambdaOptions
	cmd := &cobra.Command{
		Use:   "lambda --function NAME=BINARY…",
		Short: "Run Lambda functions behind the Invoke API",
		Long: `lambda runs programs that speak the Lambda Runtime API, such as those built on
aws-lambda-go, and serves the Invoke API for them: the AWS SDKs and the AWS CLI
work against it. It runs until it is interrupted, and then exits with 0.

With --record, every invocation is recorded as the function got it, with its
outcome, and with credentials replaced by tokens. With --effects, the functions'
AWS clients are pointed at a recording endpoint that stands in for S3 and SQS.
With --api and --route, an API Gateway stands in front.`,
		Example: `  tandem local lambda --addr 127.0.0.1:9001 --function f=./create-order
  AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws lambda invoke \
      --region us-east-1 --endpoint-url http://127.0.0.1:9001 \
      --function-name f out.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.localLambda(cmd.Context(), opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.addr, "addr", "127.0.0.1:9001", "`address` of the Invoke API; port 0 chooses one")
	f.StringArrayVar(&opts.functions, "function", nil,
		"a function, `NAME=BINARY` or NAME:QUALIFIER=BINARY; may be given more than once (required)")
	f.StringArrayVar(&opts.env, "env", nil, "environment of functions, `NAME=VALUE`; may be given more than once")
	f.IntVar(&opts.concurrency, "concurrency", 4, "`number` of environments of each function at most")
	f.DurationVar(&opts.timeout, "timeout", 3*time.Second, "time that an invocation is given")
	f.IntVar(&opts.memory, "memory", 128, "memory size that functions are told, in `MB`")
	f.BoolVar(&opts.noQueue, "no-queue", false, "answer 429 when all environments are busy, as Lambda does")
	opts.watch.register(cmd)
	f.StringVar(&opts.record.out, "record", "", "`recording` to write")
	f.BoolVar(&opts.record.append, "append", false, "with --record: go on with a recording that is there")
	opts.record.registerNoRedact(cmd)
	opts.record.to.register(f)
	f.StringVar(&opts.api, "api", "", "`address` of an API Gateway with payload format 2.0")
	f.StringArrayVar(&opts.routes, "route", nil, "with --api: `NAME=ROUTE`, such as f='POST /orders/{id}'")
	f.StringVar(&opts.destination, "destination", "",
		"`URL` of an SQS queue that gets the records of asynchronous invocations")
	cobra.CheckErr(cmd.MarkFlagRequired("function"))
	return cmd
}

func (a *app) localLambda(ctx context.Context, opts localLambdaOptions) (err error) {
	watched, err := a.openEffects(ctx, opts.watch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watched.close(a)) }()
	sink := &pinningSink{effects: watched.server}
	defer func() { err = errors.Join(err, sink.close(a)) }()
	functions, err := opts.lambdaFunctions(sink)
	if err != nil {
		return err
	}
	destination, err := recordsTo(ctx, opts.destination)
	if err != nil {
		return err
	}
	platform, err := local.NewLambda(local.LambdaOptions{
		Functions: functions, NoQueue: opts.noQueue, Effects: watched.server, Destination: destination, Log: a.stderr,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Close()) }()
	gateway, err := newGateway(platform, opts)
	if err != nil {
		return err
	}
	var all servers
	defer func() { err = errors.Join(err, all.close()) }()
	invoke, err := all.listen(opts.addr)
	if err != nil {
		return err
	}
	api, err := all.listen(opts.api)
	if err != nil {
		return err
	}
	if opts.record.out != "" {
		if sink.recording, err = a.createRecording(opts.record); err != nil {
			return err
		}
	}
	invoke.serve(platform.Handler())
	if api != nil {
		api.serve(gateway)
		a.say("API Gateway on %s", api.url())
	}
	a.say("Invoke API on %s; Ctrl-C ends it", invoke.url())
	return all.wait(ctx)
}

func (opts *localLambdaOptions) lambdaFunctions(sink *pinningSink) ([]local.LambdaFunction, error) {
	var functions []local.LambdaFunction
	for _, spec := range opts.functions {
		name, binary, err := nameAndValue("--function", "NAME=BINARY", spec)
		if err != nil {
			return nil, err
		}
		if _, err := exec.LookPath(binary); err != nil {
			return nil, fmt.Errorf("--function %q: %w", spec, err)
		}
		f := local.LambdaFunction{
			Name: name, Command: []string{binary}, Env: opts.env, Timeout: opts.timeout, MemoryMB: opts.memory,
			Concurrency: opts.concurrency,
		}
		if opts.record.out != "" {
			f.Record = sink
		}
		functions = append(functions, f)
	}
	return functions, nil
}

// recordsTo returns what sends records of asynchronous invocations to a queue, nil for none.
func recordsTo(ctx context.Context, queue string) (func(ctx context.Context, record []byte) error, error) {
	if queue == "" {
		return nil, nil
	}
	if u, err := url.Parse(queue); err != nil || u.Host == "" {
		return nil, fmt.Errorf("--destination %q: it is not the URL of a queue", queue)
	}
	endpoint := queueEndpoint(queue)
	cfg, err := awsFlags{endpoint: endpoint}.config(ctx)
	if err != nil {
		return nil, err
	}
	client := newQueueClient(cfg, endpoint)
	return func(ctx context.Context, record []byte) error {
		_, err := client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String(string(record))})
		return err
	}, nil
}

// newGateway returns the API Gateway that the flags describe, or nil.
func newGateway(platform *local.Lambda, opts localLambdaOptions) (http.Handler, error) {
	if (opts.api == "") != (len(opts.routes) == 0) {
		return nil, errors.New("--api and --route go together")
	}
	if opts.api == "" {
		return nil, nil
	}
	routes := make(map[string]string, len(opts.routes))
	for _, spec := range opts.routes {
		name, key, err := nameAndValue("--route", "NAME=ROUTE", spec)
		if err != nil {
			return nil, err
		}
		routes[key] = name
	}
	return local.NewGateway(platform, routes)
}

// A pinningSink writes invocations to a recording, with the bytes of the objects that they read.
type pinningSink struct {
	recording *capture.Writer // nil before the first invocation
	effects   *effects.Server // where the objects are; nil if nobody watched
}

// Write implements the recorder's sink. It is safe for concurrent use. An object that was changed since the function
// read it is left out: the invocation is worth keeping all the same.
func (s *pinningSink) Write(inv *capture.Invocation) error {
	kept := inv.Objects[:0]
	for _, o := range inv.Objects {
		sum, err := s.pin(o)
		if err != nil {
			return fmt.Errorf("pin s3://%s/%s: %w", o.Bucket, o.Key, err)
		}
		if sum == o.SHA256 {
			kept = append(kept, o)
		}
	}
	inv.Objects = kept
	return s.recording.Write(inv)
}

func (s *pinningSink) pin(o capture.Object) (sha256 string, err error) {
	content, ok := s.effects.Object(o.Bucket, o.Key)
	if !ok || content.SHA256 != o.SHA256 {
		return "", nil
	}
	r, err := content.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	sha256, _, err = s.recording.PutObject(r)
	return sha256, err
}

// close is called when no function runs any more. A recording that was not begun needs none.
func (s *pinningSink) close(a *app) error {
	if s.recording == nil {
		return nil
	}
	stats := s.recording.Stats()
	a.say("%s recorded", count(stats.Lines, "invocation"))
	return a.closeRecording(s.recording, nil)
}
