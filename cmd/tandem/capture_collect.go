package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/collector"
)

// collectTokenEnv has what recorders must know; it is not a flag, because other users see those.
const collectTokenEnv = "TANDEM_COLLECT_TOKEN"

type captureCollectOptions struct {
	out  recordingFlags
	addr string
	tls  tlsFlags
	keys identityFlags
}

func (a *app) captureCollectCommand() *cobra.Command {
	var opts captureCollectOptions
	cmd := &cobra.Command{
		Use:   "collect --addr ADDRESS -o REC",
		Short: "Record what the layer in Lambda functions sends",
		Long: `collect takes invocations from tandem-recorder, the layer that records inside
Lambda functions, when TANDEM_SINK there is this server's URL. An invocation is
acknowledged when it is on disk; one that is sent twice is recorded once. What
the recorders have lost is in the recording's counts. It runs until it is
interrupted, and then exits with 0.

Recordings hold what functions get. On any address but loopback, set
` + collectTokenEnv + ` here, TANDEM_SINK_TOKEN to the same text there, and
use TLS.`,
		Example: `  tandem capture collect --addr :8443 --tls-cert c.pem --tls-key k.pem \
      -o orders.rec`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.captureCollect(cmd.Context(), opts) },
	}
	opts.out.register(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.addr, "addr", "127.0.0.1:8125", "`address` to listen on; port 0 chooses one")
	opts.tls.register(cmd)
	opts.keys.register(f)
	return cmd
}

func (a *app) captureCollect(ctx context.Context, opts captureCollectOptions) error {
	token := os.Getenv(collectTokenEnv)
	host, _, err := net.SplitHostPort(opts.addr)
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	if ip := net.ParseIP(host); token == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not a loopback address: set %s", opts.addr, collectTokenEnv)
	}
	identities, err := opts.keys.parse()
	if err != nil {
		return err
	}
	var all servers
	server, err := all.listen(opts.addr)
	if err != nil {
		return err
	}
	var w *capture.Writer
	if server.tls, err = opts.tls.config(); err == nil {
		w, err = a.createRecording(opts.out)
	}
	if err != nil {
		return errors.Join(err, all.close())
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c := collector.NewServer(collector.Options{Sink: w, Token: token, Failed: func(err error) { fail(err) }})
	if opts.out.append && opts.out.out != "-" {
		if err := a.know(c, opts.out.out, identities); err != nil {
			return errors.Join(err, all.close(), w.Close())
		}
	}
	server.serve(c)
	a.say("collecting on %s into %s; Ctrl-C ends it", server.url(), opts.out.out)
	err = errors.Join(all.wait(ctx), all.close())
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	a.say("%s", c.Stats())
	return a.closeRecording(w, err)
}

// know tells a collector what is in the recording that it appends to.
func (a *app) know(c *collector.Server, path string, identities []age.Identity) error {
	r, err := a.openRecording(path, false, identities)
	if err != nil {
		return fmt.Errorf("read what is recorded already: %w", err)
	}
	defer r.Close()
	for inv, err := range r.Invocations() {
		if err != nil {
			return fmt.Errorf("read what is recorded already: %w", err)
		}
		c.Know(inv.ID)
	}
	return nil
}
