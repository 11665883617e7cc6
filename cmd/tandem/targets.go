package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/config"
	"tandem/replay"
	"tandem/replay/completion"
	"tandem/replay/functions"
	"tandem/replay/lambda"
)

// Names of outcomes.
const (
	lambdaTarget    = "lambda"
	functionsTarget = "functions"
)

// targetBuilder makes the targets that a config describes. They share one HTTP client.
type targetBuilder struct {
	objects  functions.ObjectStore
	http     *http.Client
	inFlight int
	// board has what is heard of those that were fired at triggers that answer nobody, from the sources of heard.
	board        *completion.Board
	heard        *completions
	destinations map[string]*lambda.Destination // of records of asynchronous invocations, by the queue's URL
}

// buildTargets returns the deployments of each function in the config, and adds the sources that they need to heard.
func buildTargets(ctx context.Context, cfg *config.Config, rec *capture.Recording, inFlight int, heard *completions) (
	map[string][]replay.Deployment, error) {
	b := &targetBuilder{
		objects: rec, inFlight: inFlight, http: replay.NewHTTPClient(replay.HTTPOptions{InFlight: inFlight}),
		board: heard.board, heard: heard,
	}
	targets := make(map[string][]replay.Deployment, len(cfg.Functions))
	for name, f := range cfg.Functions {
		if f.Lambda == nil || f.Functions == nil {
			return nil, fmt.Errorf("config: function %s needs both lambda and functions to be fired at", name)
		}
		l, err := b.lambda(ctx, f.Lambda)
		if err != nil {
			return nil, fmt.Errorf("config: function %s: lambda: %w", name, err)
		}
		az, err := b.functions(name, f.Functions)
		if err == nil {
			az.Target, err = heard.around(az.Target, f.Functions.Completion)
		}
		if err != nil {
			return nil, fmt.Errorf("config: function %s: functions: %w", name, err)
		}
		l.InFlight, az.InFlight = f.Lambda.InFlight, f.Functions.InFlight
		l.Environment = environment(f.Lambda.Environment, f.Lambda.Address())
		az.Environment = environment(f.Functions.Environment, az.Address)
		l.Rewrite, az.Rewrite = f.Lambda.Rewrite, f.Functions.Rewrite
		l.RetrySafe, az.RetrySafe = f.Retry.Safe, f.Retry.Safe
		targets[name] = []replay.Deployment{l, az}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("no functions to fire at: name them under functions in %s, or give a config with -c",
			config.DefaultName)
	}
	return targets, nil
}

// closeTargets ends the connections of targets that keep one.
func closeTargets(targets map[string][]replay.Deployment) (err error) {
	for _, deployments := range targets {
		for _, d := range deployments {
			if c, ok := d.Target.(io.Closer); ok {
				err = errors.Join(err, c.Close())
			}
		}
	}
	return err
}

func (b *targetBuilder) functions(name string, f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{Name: functionsTarget, Effects: b.effects(f.Effects)}
	var err error
	switch {
	case f.HTTP != nil:
		return b.httpTrigger(f)
	case f.Handler != nil:
		function := f.Handler.Function
		if function == "" {
			function = name
		}
		d.Kind, d.Address = "handler", withoutSecrets(f.Handler.URL)+"/"+function
		d.Target, err = functions.NewHandler(functions.HandlerOptions{
			URL: f.Handler.URL, Function: function, Binding: f.Handler.Binding, Container: f.Handler.Container,
			Binary: f.Handler.DataType == "binary", Objects: b.objects, HTTP: b.http,
		})
	case f.Queue != nil:
		return b.queue(f)
	case f.ServiceBus != nil:
		return b.serviceBus(f)
	case f.Blob != nil:
		return b.blob(name, f)
	case f.EventGrid != nil:
		return b.eventGrid(name, f)
	case f.EventHub != nil:
		return b.eventHub(f)
	}
	return d, err
}

// effects returns how to learn what an invocation did, from the address of a recording endpoint.
func (b *targetBuilder) effects(address string) replay.EffectsFunc {
	if address == "" {
		return nil
	}
	client := effects.Client{URL: address, HTTP: b.http}
	return func(ctx context.Context, mark capture.Mark) ([]capture.Effect, error) {
		work, err := client.Take(ctx, mark.String())
		return work.Effects, err
	}
}

// environment is what the config says of a target at this address, which it has to unless that is on this machine.
func environment(declared replay.Environment, address string) replay.Environment {
	address, _, _ = strings.Cut(address, "{") // of a path parameter
	if declared == "" && !isLoopback(address) {
		return replay.Undeclared
	}
	return declared
}

// withoutSecrets leaves out of a URL what may be a key: query, fragment, user and password.
func withoutSecrets(address string) string {
	if end := strings.IndexAny(address, "?#"); end >= 0 {
		address = address[:end]
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	host, path, slash := strings.Cut(rest, "/")
	host = host[strings.LastIndexByte(host, '@')+1:]
	if slash {
		path = "/" + path
	}
	return scheme + "://" + host + path
}

func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}
