package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/httpproxy"
)

type captureHTTPOptions struct {
	out                        recordingFlags
	addr, to, function, format string
	routes                     []string
	stage                      string
	keepHost, multiValue       bool
	tls                        tlsFlags
}

func (a *app) captureHTTPCommand() *cobra.Command {
	var opts captureHTTPOptions
	cmd := &cobra.Command{
		Use:   "http --to URL --function NAME -o REC",
		Short: "Record HTTP invocations with a reverse proxy",
		Long: `http is a reverse proxy in front of an API Gateway, a Function URL, an ALB or an
application. It records each request as the event that the function behind such
a source gets, and the answer as its outcome. Requests are passed on at once,
whatever the disk does; what could not be recorded is counted and told at the
end. It runs until it is interrupted, and then exits with 0.`,
		Example: `  tandem capture http --addr 127.0.0.1:8080 --to https://api.example.com \
      --function create-order --route 'POST /orders/{id}' -o orders.rec
  tandem capture http --addr :443 --tls-cert api.pem --tls-key api.key \
      --to https://api.example.com --keep-host --function f -o f.rec`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.captureHTTP(cmd.Context(), opts) },
	}
	opts.out.register(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 chooses one")
	f.StringVar(&opts.to, "to", "", "`URL` that requests are passed on to (required)")
	f.StringVar(&opts.function, "function", "", "`name` of the function behind it (required)")
	f.StringVar(&opts.format, "format", string(capture.FormatAPIGatewayV2),
		"`kind` of event: apigw-v1, apigw-v2, function-url or alb")
	f.StringArrayVar(&opts.routes, "route", nil,
		"route `key`, such as 'POST /orders/{id}'; others pass unrecorded (default all)")
	f.StringVar(&opts.stage, "stage", "", "`name` of the API's stage (default $default)")
	f.BoolVar(&opts.keepHost, "keep-host", false, "pass the client's Host header on")
	f.BoolVar(&opts.multiValue, "multi-value", false, "alb: the target group has multi-value headers on")
	opts.tls.register(cmd)
	cobra.CheckErr(cmd.MarkFlagRequired("to"))
	cobra.CheckErr(cmd.MarkFlagRequired("function"))
	return cmd
}

func (a *app) captureHTTP(ctx context.Context, opts captureHTTPOptions) error {
	upstream, err := url.Parse(opts.to)
	if err != nil {
		if wrong := (*url.Error)(nil); errors.As(err, &wrong) {
			err = wrong.Err // without the URL, which may have a password in it
		}
		return fmt.Errorf("--to: %w", err)
	}
	var sink lateSink
	proxy, err := httpproxy.New(httpproxy.Options{
		Upstream: upstream, Function: opts.function, Sink: &sink, Format: capture.Format(opts.format), Routes: opts.routes,
		Stage: opts.stage, KeepHost: opts.keepHost, MultiValue: opts.multiValue, Logf: a.say,
	})
	if err != nil {
		return err
	}
	var all servers
	server, err := all.listen(opts.addr)
	if err == nil {
		server.tls, err = opts.tls.config()
	}
	if err == nil {
		sink.Writer, err = a.createRecording(opts.out)
	}
	if err != nil {
		return errors.Join(err, all.close(), proxy.Close())
	}
	server.serve(proxy)
	a.say("recording %s on %s to %s; Ctrl-C ends it", upstream.Redacted(), server.url(), opts.out.out)
	err = errors.Join(all.wait(ctx), all.close(), proxy.Close())
	s := proxy.Stats()
	sink.AddLost(s.Lost())
	a.say("%s", s)
	return a.closeRecording(sink.Writer, err)
}
