package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
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

// buildTargets returns the deployments of each function in the config, all or those that fire names, and adds the
// sources that they need to heard.
func buildTargets(
	ctx context.Context, cfg *config.Config, rec *capture.Recording, inFlight int, fire []string, heard *completions) (
	map[string][]replay.Deployment, error) {
	b := &targetBuilder{
		objects: rec, inFlight: inFlight, http: replay.NewHTTPClient(replay.HTTPOptions{InFlight: inFlight}),
		board: heard.board, heard: heard,
	}
	targets := make(map[string][]replay.Deployment, len(cfg.Functions))
	for name, f := range cfg.Functions {
		if err := checkSides(name, f, fire); err != nil {
			return nil, err
		}
		if wanted(fire, lambdaTarget) {
			l, err := b.lambda(ctx, f.Lambda)
			if err != nil {
				return nil, fmt.Errorf("config: function %s: lambda: %w", name, err)
			}
			l.InFlight, l.Rewrite, l.RetrySafe = f.Lambda.InFlight, f.Lambda.Rewrite, f.Retry.Safe
			l.Environment = environment(f.Lambda.Environment, f.Lambda.Addresses()...)
			targets[name] = append(targets[name], l)
		}
		if wanted(fire, functionsTarget) {
			az, err := b.functions(name, f.Functions)
			if err == nil {
				az.Target, err = heard.around(az.Target, f.Functions.Completion)
			}
			if err != nil {
				return nil, fmt.Errorf("config: function %s: functions: %w", name, err)
			}
			az.InFlight, az.Rewrite, az.RetrySafe = f.Functions.InFlight, f.Functions.Rewrite, f.Retry.Safe
			az.Environment = environment(f.Functions.Environment, az.Address, cmp.Or(f.Functions.Address(), az.Address))
			targets[name] = append(targets[name], az)
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("no functions to fire at: name them under functions in %s, or give a config with -c",
			config.DefaultName)
	}
	return targets, nil
}

func wanted(fire []string, target string) bool {
	return len(fire) == 0 || slices.Contains(fire, target)
}

// checkSides returns an error where the config lacks what is fired at.
func checkSides(function string, f config.Function, fire []string) error {
	for side, missing := range map[string]bool{lambdaTarget: f.Lambda == nil, functionsTarget: f.Functions == nil} {
		switch {
		case !missing || !wanted(fire, side):
		case len(fire) == 0:
			return fmt.Errorf("config: function %s needs both lambda and functions to be fired at, or --fire, which names one",
				function)
		default:
			return fmt.Errorf("config: function %s has no %s to be fired at", function, side)
		}
	}
	return nil
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

// messageEffects returns how to learn what a delivery of a message did, from the address of a recording endpoint.
func (b *targetBuilder) messageEffects(
	address string) func(ctx context.Context, messageID string, delivery int) ([]capture.Effect, error) {
	if address == "" {
		return nil
	}
	client := effects.Client{URL: address, HTTP: b.http}
	return func(ctx context.Context, id string, delivery int) ([]capture.Effect, error) {
		work, err := client.Take(ctx, effects.MessageTag(id, delivery))
		return work.Effects, err
	}
}

// environment is what the config says of a target at these addresses, which it has to unless all are on this machine.
func environment(declared replay.Environment, addresses ...string) replay.Environment {
	for _, address := range addresses {
		address, _, _ = strings.Cut(address, "{") // of a path parameter
		if declared == "" && !isLoopback(address) {
			return replay.Undeclared
		}
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
