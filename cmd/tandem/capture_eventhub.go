package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/eventhub"
	"tandem/capture/journal"
	"tandem/capture/translate"
)

type captureEventHubOptions struct {
	out                                       recordingFlags
	keys                                      identityFlags
	namespace, hub, group, connectionEnv      string
	checkpoints, checkpointsEnv               string
	from, until, kind, function, pattern      string
	names, formats, routes, queueARNs, bucket []string
	prefix                                    string
	idle                                      time.Duration
	pin, json                                 bool
}

func (a *app) captureEventHubCommand() *cobra.Command {
	var opts captureEventHubOptions
	cmd := &cobra.Command{
		Use:   "eventhub --hub HUB --checkpoints URL -o REC",
		Short: "Record what Azure handled, from an event hub",
		Long: `eventhub reads an event hub and makes Lambda invocations of what is in it: the
diagnostic log of a Functions app, in all of its encodings, or of API
Management; blob events of Event Grid; requests that a log-to-eventhub policy
sends; queue messages and custom handler payloads that somebody forwards; lines
of tandem-recorder. HTTP requests become events of API Gateway, messages SQS
events and blobs S3 events, and are marked as translated.

It runs until Ctrl-C, --until or --idle, and then says what the hub told of and
what was recorded. Checkpoints are kept in a Blob container and move behind what
is on disk; --append goes on, however it was stopped. Partitions without a
checkpoint are begun at their earliest event. Credentials are those of the Azure
SDK (az login, managed identity, AZURE_…), or connection strings in environment
variables.`,
		Example: `  tandem capture eventhub --namespace orders.servicebus.windows.net --hub logs \
      --checkpoints https://ordersstg.blob.core.windows.net/checkpoints \
      --event-pattern '{.*}' --name process-order=orders -o azure.rec
  tandem capture eventhub --connection-string-env HUB --checkpoints-env STORE \
      --checkpoints https://ordersstg.blob.core.windows.net/checkpoints \
      --bucket catalog=orders-catalog --pin --idle 5m -o azure.rec --append`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.captureEventHub(cmd.Context(), opts) },
	}
	opts.out.register(cmd)
	f := cmd.Flags()
	opts.keys.register(f)
	f.StringVar(&opts.namespace, "namespace", "", "`host` of the namespace: NS.servicebus.windows.net")
	f.StringVar(&opts.connectionEnv, "connection-string-env", "",
		"environment `variable` with the connection string of the namespace or hub, in place of --namespace")
	f.StringVar(&opts.hub, "hub", "", "`name` of the hub, unless the connection string has it")
	f.StringVar(&opts.group, "consumer-group", "$Default", "`name` of the consumer group")
	f.StringVar(&opts.checkpoints, "checkpoints", "", "`URL` of the Blob container for checkpoints (required)")
	f.StringVar(&opts.checkpointsEnv, "checkpoints-env", "",
		"environment `variable` with the connection string of that container's account")
	f.StringVar(&opts.from, "from", "earliest",
		"`where` partitions without a checkpoint begin: earliest, latest or a time")
	f.StringVar(&opts.until, "until", "", "`time` before which events came to the hub (default never)")
	f.DurationVar(&opts.idle, "idle", 0, "end when nothing has come for so long (default never)")
	f.StringVar(&opts.kind, "kind", "auto", "take one `kind` alone: "+kindList())
	f.StringVar(&opts.pattern, "event-pattern", "",
		"`RE2` expression that finds events in the messages of a function's log")
	f.StringVar(&opts.function, "function", "", "`name` of the function where nothing in the hub says it")
	f.StringArrayVar(&opts.names, "name", nil,
		"FROM=`TO`: the recording's name for a function of Azure's, a container, a queue or an API; may be repeated")
	f.StringArrayVar(&opts.formats, "format", nil,
		"`FORMAT` of HTTP events: apigw-v2, apigw-v1, function-url or alb; FUNCTION=FORMAT for one (default apigw-v2)")
	f.StringArrayVar(&opts.routes, "route", nil,
		"route `key` of the API, such as 'POST /orders/{id}' (default all paths)")
	f.StringVar(&opts.prefix, "prefix", "api", "what the app's `paths` begin with; / is none")
	f.StringArrayVar(&opts.queueARNs, "queue-arn", nil,
		"QUEUE=`ARN` or FUNCTION=ARN: the queue that messages seem to be from")
	f.StringArrayVar(&opts.bucket, "bucket", nil, "CONTAINER=`BUCKET`: the bucket that blobs seem to be in")
	f.BoolVar(&opts.pin, "pin", false, "keep the bytes of the blobs that Event Grid tells of")
	f.BoolVar(&opts.json, "json", false, "print the statement of completeness as one JSON document")
	cobra.CheckErr(cmd.MarkFlagRequired("checkpoints"))
	return cmd
}

func kindList() string {
	var names []string
	for _, k := range eventhub.Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func (a *app) captureEventHub(ctx context.Context, opts captureEventHubOptions) (err error) {
	o, err := opts.parse(time.Now())
	if err != nil {
		return err
	}
	access, err := opts.access(&o)
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		return err
	}
	if err := eventhub.Check(ctx, access); err != nil {
		return err
	}
	o.Logf = a.say
	w, err := a.createRecording(opts.out)
	if err != nil {
		return err
	}
	defer func() { err = a.closeRecording(w, err) }()
	o.Sink = w
	if opts.out.append {
		if o.Recorded, err = a.recordedIn(opts.out.out, opts.keys); err != nil {
			return err
		}
	}
	if opts.isFolder() {
		o.Objects = w
		// Named after its recording, which no other process writes, the process has its partitions back at once when it
		// is started again.
		access.Owner = "tandem-" + w.Manifest().ID
	}
	if o.Client, o.Checkpoints, err = eventhub.Connect(access); err != nil {
		return err
	}
	defer o.Client.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing more is read
	a.say("recording %s to %s; Ctrl-C ends it", o.Hub, opts.out.out)
	report, err := eventhub.Capture(ctx, o)
	if report != nil {
		err = errors.Join(err, a.tellHub(report, opts.json))
	}
	return err
}

func (opts captureEventHubOptions) isFolder() bool {
	return opts.out.out != "-" && !journal.IsFile(opts.out.out)
}

// recordedIn returns the IDs of the invocations of a recording, which may be open for writing.
func (a *app) recordedIn(path string, keys identityFlags) (iter.Seq2[string, error], error) {
	if path == "-" {
		return nil, errors.New("--append and -o - do not go together")
	}
	identities, err := keys.parse()
	if err != nil {
		return nil, err
	}
	return func(yield func(string, error) bool) {
		rec, err := a.openRecording(path, false, identities)
		if err != nil {
			yield("", err)
			return
		}
		defer rec.Close()
		for line, err := range rec.Lines() {
			var doc struct {
				ID string `json:"id"`
			}
			if err == nil {
				err = json.Unmarshal(line.Data, &doc)
			}
			if !yield(doc.ID, err) || err != nil {
				return
			}
		}
	}, nil
}

// parse reads what the flags say of what is to be captured.
func (opts captureEventHubOptions) parse(now time.Time) (o eventhub.Options, err error) {
	o = eventhub.Options{
		Hub: opts.hub, Idle: opts.idle, Kind: eventhub.Kind(opts.kind), Function: opts.function,
	}
	switch opts.from {
	case "earliest":
	case "latest":
		o.From.Latest = true
	default:
		if o.From.Time, err = parseMoment(opts.from, now); err != nil {
			return o, fmt.Errorf("--from: %w", err)
		}
	}
	if opts.until != "" {
		if o.Until, err = parseMoment(opts.until, now); err != nil {
			return o, fmt.Errorf("--until: %w", err)
		}
	}
	if opts.pattern != "" {
		if o.Pattern, err = regexp.Compile(opts.pattern); err != nil {
			return o, fmt.Errorf("--event-pattern: %w", err)
		}
	}
	for _, pairs := range []struct {
		flag string
		from []string
		into *map[string]string
	}{
		{"name", opts.names, &o.Names}, {"queue-arn", opts.queueARNs, &o.QueueARNs},
		{"bucket", opts.bucket, &o.Blobs.Buckets},
	} {
		if *pairs.into, err = parsePairs(pairs.flag, pairs.from); err != nil {
			return o, err
		}
	}
	o.HTTP = opts.http()
	if opts.pin && !opts.isFolder() {
		return o, errors.New("--pin needs a recording that is a folder")
	}
	if opts.json && opts.out.out == "-" {
		return o, errors.New("--json and -o - both want stdout")
	}
	return o, nil
}

// http says what stood in front of the functions.
func (opts captureEventHubOptions) http() map[string]translate.HTTPOptions {
	all := translate.HTTPOptions{Prefix: opts.prefix, Routes: opts.routes}
	formats := make(map[string]capture.Format)
	for _, f := range opts.formats {
		name, format, found := strings.Cut(f, "=")
		if !found {
			all.Format = capture.Format(f)
			continue
		}
		formats[name] = capture.Format(format)
	}
	http := map[string]translate.HTTPOptions{"": all}
	for name, format := range formats {
		one := all
		one.Format = format
		http[name] = one
	}
	return http
}

func parsePairs(flag string, pairs []string) (map[string]string, error) {
	m := make(map[string]string)
	for _, pair := range pairs {
		from, to, ok := strings.Cut(pair, "=")
		if !ok || from == "" || to == "" {
			return nil, fmt.Errorf("--%s: %q is not two names with = between them", flag, pair)
		}
		m[from] = to
	}
	return m, nil
}

// access says how to get at the hub and at the checkpoints. It fills in the hub's name and what finds blobs.
func (opts captureEventHubOptions) access(o *eventhub.Options) (eventhub.Access, error) {
	a := eventhub.Access{Namespace: opts.namespace, ConsumerGroup: opts.group, Container: opts.checkpoints}
	if (opts.namespace == "") == (opts.connectionEnv == "") {
		return a, errors.New("which namespace? give --namespace or --connection-string-env, and not both")
	}
	var err error
	if a.ConnectionString, err = secretFrom("connection-string-env", opts.connectionEnv); err != nil {
		return a, err
	}
	if a.ContainerConnection, err = secretFrom("checkpoints-env", opts.checkpointsEnv); err != nil {
		return a, err
	}
	if a.ConnectionString != "" {
		hub, err := eventhub.HubOf(a.ConnectionString)
		if err != nil {
			return a, fmt.Errorf("--connection-string-env %s: %w", opts.connectionEnv, err)
		}
		if hub != "" && opts.hub != "" && hub != opts.hub {
			return a, fmt.Errorf("--hub is %s, and the connection string is one for %s", opts.hub, hub)
		}
		o.Hub = cmp.Or(hub, opts.hub)
	}
	a.Hub = o.Hub
	if a.Hub == "" {
		return a, errors.New("which hub? give --hub")
	}
	if a.ConnectionString == "" || a.ContainerConnection == "" || opts.pin {
		if a.Credential, err = azidentity.NewDefaultAzureCredential(nil); err != nil {
			return a, err
		}
	}
	if opts.pin {
		o.Pin = eventhub.Blobs{Credential: a.Credential}
	}
	return a, nil
}

// secretFrom reads an environment variable that a flag names, if it names one.
func secretFrom(flag, variable string) (string, error) {
	if variable == "" {
		return "", nil
	}
	value := os.Getenv(variable)
	if value == "" {
		return "", fmt.Errorf("--%s: the variable %s is not set", flag, variable)
	}
	return value, nil
}

// tellHub says what the hub told of and what was recorded of it, by function.
func (a *app) tellHub(r *eventhub.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Functions)) {
		f := r.Functions[name]
		a.say("%s: the hub told of %s: %d recorded, %d without an event, %d still open", name,
			count(f.Invocations, "invocation"), f.Recorded, f.Missing, f.Open)
		a.tellSome([]some{
			{f.Broken, "of those without an event had one that was cut off or is none"},
			{f.Failed, "failed"},
			{f.Unended, "whose end or answer did not come"},
			{f.Ambiguous, "logged several events, or one that can be read in two ways"},
			{f.Unpinned, "whose blob was gone or another one already"},
		})
	}
	a.say("%s read from %s", count(r.Events, "event"), count(int64(len(r.Partitions)), "partition"))
	for _, id := range slices.Sorted(maps.Keys(r.Partitions)) {
		a.tellSome([]some{{r.Partitions[id].Expired, "events of partition " + id + " were gone before they could be read"}})
	}
	a.tellSome([]some{
		{r.Repeated, "documents were about what was recorded before"}, {r.Other, "log lines were about no event"},
	})
	for _, why := range slices.Sorted(maps.Keys(r.Left)) {
		a.say("  %d left out: %s, first at %s", r.Left[why], why, r.First[why])
	}
	return nil
}

// A some is a count that is worth a line unless it is 0.
type some struct {
	n    int64
	what string
}

func (a *app) tellSome(list []some) {
	for _, s := range list {
		if s.n > 0 {
			a.say("  %d %s", s.n, s.what)
		}
	}
}
