package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"tandem/replay/local"
)

type localFunctionsOptions struct {
	addr, app, key string
	env            []string
	processes      int
	watch          watchFlags
}

func (a *app) localFunctionsCommand() *cobra.Command {
	var opts localFunctionsOptions
	cmd := &cobra.Command{
		Use:   "functions --app DIR",
		Short: "Run an Azure Functions app of custom handlers",
		Long: `functions is a host for apps whose functions are in a custom handler: it reads
host.json and each function.json, starts the handler, routes HTTP triggers and
serves POST /admin/functions/{name}. It runs until it is interrupted, and then
exits with 0.

Queues, Service Bus queues and containers are polled, and event hubs read, when
the trigger's connection is given with --env, as with
--env AzureWebJobsStorage="$CONNECTION_STRING". Event Grid triggers and blob
triggers of the source EventGrid have their webhooks under /runtime/webhooks/.
A replay can also call such functions through POST /tandem/handler/{name}, with
what the host would send to the handler.

With --effects, AzureWebJobsStorage leads to a recording endpoint.`,
		Example: `  tandem local functions --addr 127.0.0.1:7071 --app ./functionsapp`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.localFunctions(cmd.Context(), opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.addr, "addr", "127.0.0.1:7071", "`address` of the app; port 0 chooses one")
	f.StringVar(&opts.app, "app", "", "`folder` with host.json (required)")
	f.StringVar(&opts.key, "key", "", "master, function and system `key` (default: made up, and told)")
	f.StringArrayVar(&opts.env, "env", nil, "app setting, `NAME=VALUE`; may be given more than once")
	f.IntVar(&opts.processes, "processes", 1, "`number` of handler processes, each at one invocation a time")
	opts.watch.register(cmd)
	cobra.CheckErr(cmd.MarkFlagRequired("app"))
	return cmd
}

func (a *app) localFunctions(ctx context.Context, opts localFunctionsOptions) (err error) {
	watched, err := a.openEffects(ctx, opts.watch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watched.close(a)) }()
	host, err := local.NewFunctions(ctx, local.FunctionsOptions{
		App: opts.app, Env: opts.env, Processes: opts.processes, MasterKey: opts.key, FunctionKey: opts.key,
		SystemKey: opts.key, Effects: watched.server, Log: a.stderr,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	var all servers
	server, err := all.listen(opts.addr)
	if err != nil {
		return err
	}
	server.serve(host.Handler())
	a.say("Functions app on %s; Ctrl-C ends it", server.url())
	if opts.key == "" {
		a.say("function key %s\nmaster key   %s\nsystem key   %s", host.Keys().Function, host.Keys().Master,
			host.Keys().System)
	}
	return errors.Join(all.wait(ctx), all.close())
}
