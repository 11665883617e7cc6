package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"time"

	"tandem/capture"
	"tandem/capture/effects"
	"tandem/capture/httpproxy"
	"tandem/replay/local"
)

// lambdaFunctions are the sample application's. A sink records those that no HTTP proxy stands in front of.
func (d *demo) lambdaFunctions(sink *pinningSink) []local.LambdaFunction {
	var functions []local.LambdaFunction
	for _, name := range []string{"create-order", "process-order", "import-catalog"} {
		f := local.LambdaFunction{
			Name: name, Command: []string{filepath.Join(d.programs, "lambda", name)}, Concurrency: 4, Timeout: time.Minute,
		}
		if sink != nil && name != "create-order" {
			f.Record = sink
		}
		functions = append(functions, f)
	}
	return functions
}

const createOrderRoute = "POST /customers/{customerId}/orders"

// record runs the application on Lambda, has the driver send it traffic and records what the functions get: HTTP
// requests by a proxy in front of the API, all else in the Runtime API's path.
func (d *demo) record(ctx context.Context) (err error) {
	w, err := d.create(d.path("orders.rec"), capture.CreateOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	watched, err := effects.NewServer(effects.Options{Resources: d.resources})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watched.Close()) }()
	if err := d.seed(ctx, watched); err != nil {
		return err
	}
	storage, err := watched.Listen()
	if err != nil {
		return err
	}
	platform, err := local.NewLambda(local.LambdaOptions{
		Functions: d.lambdaFunctions(&pinningSink{w, watched}), Effects: watched, Log: d.log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Close()) }()
	gateway, err := local.NewGateway(platform, map[string]string{createOrderRoute: "create-order"})
	if err != nil {
		return err
	}
	var all servers
	defer func() { err = errors.Join(err, all.close()) }()
	invoke, err := all.serve(platform.Handler())
	if err != nil {
		return err
	}
	api, err := all.serve(gateway)
	if err != nil {
		return err
	}
	return d.recordThrough(ctx, api, w, "-lambda", invoke, "-s3", "http://"+storage.Addr())
}

// recordThrough puts a proxy that records in front of the API and sends the traffic.
func (d *demo) recordThrough(ctx context.Context, api string, w *capture.Writer, driver ...string) error {
	upstream, err := url.Parse(api)
	if err != nil {
		return err
	}
	proxy, err := httpproxy.New(httpproxy.Options{
		Upstream: upstream, Function: "create-order", Routes: []string{createOrderRoute}, Sink: w, Logf: d.say,
	})
	if err != nil {
		return err
	}
	var front servers
	address, err := front.serve(proxy)
	if err == nil {
		err = d.drive(ctx, append(driver, "-api", address)...)
	}
	return errors.Join(err, front.close(), proxy.Close())
}

// seed puts what has to be there before the first request into a world: the customers, which create-order reads. Each
// side starts with the same.
func (d *demo) seed(ctx context.Context, world *effects.Server) error {
	port, err := world.Listen()
	if err != nil {
		return err
	}
	return errors.Join(d.drive(ctx, "-seed-customers", "-s3", "http://"+port.Addr()), port.Close())
}

// drive runs the driver.
func (d *demo) drive(ctx context.Context, args ...string) error {
	args = append(args, "-times", fmt.Sprint(d.opts.times))
	cmd := exec.CommandContext(ctx, filepath.Join(d.programs, "driver"), args...)
	cmd.Stdout, cmd.Stderr = d.log, io.MultiWriter(d.log, d.stderr)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return fmt.Errorf("send traffic: %w", err)
	}
	return nil
}
