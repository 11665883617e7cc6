package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/compare"
	"tandem/config"
	"tandem/replay"
	"tandem/replay/local"
)

// replay fires the recording at a fresh Lambda platform and at the Functions port.
func (d *demo) replay(ctx context.Context) (err error) {
	if d.rec, err = capture.Open(d.path("orders.rec"), capture.OpenOptions{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.rec.Close()) }()
	lambdaWorld, err := d.world(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lambdaWorld.Close()) }()
	platform, err := local.NewLambda(local.LambdaOptions{Functions: d.lambdaFunctions(nil), Effects: lambdaWorld, Log: d.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Close()) }()
	azureWorld, err := d.world(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, azureWorld.Close()) }()
	host, err := local.NewFunctions(ctx, local.FunctionsOptions{
		App: filepath.Join(d.programs, "functions"), Env: []string{"ORDERS_MISTAKES=" + d.mistakes()}, Processes: 4,
		FunctionKey: demoKey, Effects: azureWorld, Log: d.log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	for _, world := range []*effects.Server{lambdaWorld, azureWorld} {
		if err := d.seed(ctx, world); err != nil {
			return err
		}
	}
	var all servers
	defer func() { err = errors.Join(err, all.close()) }()
	invoke, err := all.serve(platform.Handler())
	if err != nil {
		return err
	}
	app, err := all.serve(host.Handler())
	if err != nil {
		return err
	}
	return d.fireAt(ctx, invoke, app)
}

func (d *demo) mistakes() string {
	if d.opts.fixed {
		return ""
	}
	return d.opts.mistakes
}

// world is the recording endpoint of one side, with the objects of the recording.
func (d *demo) world(ctx context.Context) (*effects.Server, error) {
	server, err := effects.NewServer(effects.Options{Resources: d.resources})
	if err != nil {
		return nil, err
	}
	if err := pinObjects(ctx, server, d.rec); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return server, nil
}

// fireAt writes the config that a user would write for these addresses, and replays with it.
func (d *demo) fireAt(ctx context.Context, invoke, app string) error {
	text := strings.NewReplacer("INVOKE", invoke, "APP", app).Replace(demoConfig)
	if err := os.WriteFile(d.path(config.DefaultName), []byte(text), 0o644); err != nil {
		return err
	}
	cfg, err := config.Load(d.path(config.DefaultName), os.LookupEnv)
	if err != nil {
		return err
	}
	const inFlight = 4
	targets, err := buildTargets(ctx, cfg, d.rec, inFlight, nil, newCompletions())
	if err != nil {
		return err
	}
	d.manifest, err = d.fire(ctx, "auto", replay.Options{
		Recording: d.rec, RecordingPath: d.path("orders.rec"), Targets: targets, Dir: d.path("orders.run"),
		InFlight: inFlight, Progress: new(replay.Progress), ConfigHash: cfg.Hash, FireHash: cfg.FireHash,
		Tool: toolVersion(),
	})
	if err != nil {
		return err
	}
	d.say("%s", runSummary(d.manifest))
	if !d.manifest.Complete {
		return errInterrupted
	}
	return nil
}

func (d *demo) compare(ctx context.Context) (*compare.Report, error) {
	cfg, err := config.Load(d.path(config.DefaultName), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	run, err := replay.OpenRun(d.path("orders.run"), replay.RunOptions{})
	if err != nil {
		return nil, err
	}
	return compare.Run(ctx, run, compare.Options{Rules: cfg.Rules, Events: d.rec.Invocations()})
}

// demoKey is the function key of the demo's own app, which nobody else can reach and which ends with it.
const demoKey = "demo"

// demoConfig is the sample application's tandem.yaml, with INVOKE and APP for the addresses of its platforms.
const demoConfig = `version: 1
functions:
  create-order:
    lambda: {function: create-order, endpoint: "INVOKE", effects: "INVOKE"}
    functions:
      http: {url: "APP/api/customers/{customerId}/orders", key: ` + demoKey + `} # elsewhere: "${ORDERS_KEY}"
      effects: "APP"
  process-order:
    lambda: {function: process-order, endpoint: "INVOKE", effects: "INVOKE"}
    functions:
      handler: {url: "APP/tandem/handler", function: process-order, binding: message}
      effects: "APP"
  import-catalog:
    lambda: {function: import-catalog, endpoint: "INVOKE", effects: "INVOKE"}
    functions:
      handler: {url: "APP/tandem/handler", function: import-catalog, binding: blob, dataType: binary}
      effects: "APP"
resources:
  orders-bucket: {aws: "s3://orders", azure: "azblob://devstoreaccount1/orders"}
  catalog-bucket: {aws: "s3://catalog", azure: "azblob://devstoreaccount1/catalog"}
  orders-queue: {aws: "sqs://orders", azure: "azqueue://devstoreaccount1/orders"}
  rejected-queue: {aws: "sqs://rejected", azure: "azqueue://devstoreaccount1/rejected"}
  notifications-queue: {aws: "sqs://notifications", azure: "azqueue://devstoreaccount1/notifications"}
rules:
  - use: lambda-to-functions
  - at: /body/orderId
    treat: alias
    on: [create-order]
    why: each call generates one
  - at: /effects/*/body/orderId
    treat: alias
    on: [create-order]
    why: the same ID, where the answer is a PDF that does not show it
  - at: /**/createdAt
    treat: time
    within: 1m
    on: [create-order]
    why: the time of the call, which differs by how long each side takes
`
