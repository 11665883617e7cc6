package main

import (
	"context"
	"fmt"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
	"tandem/replay/stepfunctions"
)

// stateMachine returns the deployment of a state machine in the place of a Lambda function.
func (b *targetBuilder) stateMachine(ctx context.Context, l *config.Lambda) (replay.Deployment, error) {
	d := replay.Deployment{Name: lambdaTarget, Kind: "stepfunctions", Address: l.StateMachine}
	if l.Endpoint != "" {
		d.Address += " at " + withoutSecrets(l.Endpoint)
	}
	region, err := stepfunctions.RegionOf(l.StateMachine)
	if err != nil {
		return d, fmt.Errorf("stateMachine: %w", err)
	}
	if l.Region != "" && l.Region != region {
		return d, fmt.Errorf("region: the state machine is in %s, not in %s", region, l.Region)
	}
	input, err := stepfunctions.ParsePointer(l.Input)
	if err != nil {
		return d, fmt.Errorf("input: %w", err)
	}
	cfg, err := b.awsConfig(ctx, l.Endpoint, region)
	if err != nil {
		return d, err
	}
	d.Target, err = stepfunctions.New(stepfunctions.Options{
		Client: stepfunctions.NewClient(cfg, l.Endpoint), StateMachine: l.StateMachine, Express: l.Express, Input: input,
	})
	return d, err
}

// execution returns the deployment of a function that starts executions, whose own is d.
func (b *targetBuilder) execution(ctx context.Context, l *config.Lambda, d replay.Deployment) (
	replay.Deployment, error) {
	d.Kind = "lambda+stepfunctions"
	pointer, err := stepfunctions.ParsePointer(l.Execution)
	if err != nil {
		return d, fmt.Errorf("execution: %w", err)
	}
	cfg, err := b.awsConfig(ctx, l.ExecutionEndpoint, l.Region)
	if err != nil {
		return d, err
	}
	d.Target, err = stepfunctions.NewStarted(stepfunctions.StartedOptions{
		Function: d.Target, Client: stepfunctions.NewClient(cfg, l.ExecutionEndpoint), Execution: pointer,
	})
	return d, err
}

// durable returns the deployment of an HTTP function that starts orchestrations, whose own is d.
func (b *targetBuilder) durable(h *config.HTTP, start *functions.HTTP, d replay.Deployment) (replay.Deployment, error) {
	d.Kind = "durable"
	var err error
	d.Target, err = functions.NewDurable(functions.DurableOptions{
		Start: start, URL: h.URL, Key: h.Key, Authorize: start.Authorize, Waits: h.Waits, HTTP: b.http,
	})
	return d, err
}
