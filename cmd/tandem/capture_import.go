package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/importer"
)

func (a *app) captureImportCommand() *cobra.Command {
	var (
		out    recordingFlags
		opts   importer.Options
		format string
	)
	cmd := &cobra.Command{
		Use:   "import PATH…",
		Short: "Record events and HTTP traffic that are in files",
		Long: `import takes plain Lambda events, as a console test event or sam local
generate-event has them: one JSON document a .json file, one a line in .jsonl
files. It takes HTTP traffic, too: HAR files, as browsers and proxies export
them, and GoReplay's .gor files. Of a request it makes the event that a function
behind such an API gets, and of the answer its outcome. PATH may be a folder of
any of these, and files may be compressed with gzip. What a file is, is found
from its contents, then from its name.

Without --function, the folder below PATH that an event is in names its
function. Events that were delivered twice are recorded once.`,
		Example: `  tandem capture import events/ --function create-order -o orders.rec
  tandem capture import event.json --function f -o - | tandem inspect -
  tandem capture import shop.har --function create-order -o orders.rec \
      --host api.example.com --route 'POST /customers/{id}/orders'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Format = capture.Format(format)
			return a.captureImport(cmd.Context(), args, opts, out)
		},
	}
	out.register(cmd)
	f := cmd.Flags()
	f.StringVar(&opts.Function, "function", "", "`name` of the function that the events are for")
	f.StringVar(&format, "format", string(capture.FormatAPIGatewayV2),
		"`kind` of event that requests become: apigw-v1, apigw-v2, function-url or alb")
	f.StringArrayVar(&opts.Hosts, "host", nil, "`host` whose requests are taken; others are left out (default all)")
	f.StringArrayVar(&opts.Routes, "route", nil,
		"route `key`, such as 'POST /orders/{id}'; other requests are left out (default all)")
	f.StringVar(&opts.Stage, "stage", "", "`name` of the API's stage, which paths may begin with (default $default)")
	return cmd
}

func (a *app) captureImport(ctx context.Context, paths []string, opts importer.Options, out recordingFlags) error {
	if err := opts.Check(); err != nil {
		return err
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("import: %w", err)
		}
	}
	w, err := a.createRecording(out)
	if err != nil {
		return err
	}
	opts.Sink = w
	result, err := importer.Import(ctx, paths, opts)
	w.AddLost(int64(result.Refused))
	for _, note := range result.Notes {
		a.say("%s", note)
	}
	a.say("%s", importSummary(result))
	return a.closeRecording(w, err)
}

// importSummary says what became of all events, in one line that adds up.
func importSummary(r importer.Result) string {
	line := fmt.Sprintf("%s in %s: %d imported, %s, %d refused", count(r.Events, "event"), count(r.Files, "file"),
		r.Imported, count(r.Duplicates, "duplicate"), r.Refused)
	if r.Excluded > 0 {
		line += fmt.Sprintf(", %d left out", r.Excluded)
	}
	line += "; " + count(r.Skipped, "file") + " skipped"
	if r.Unanswered > 0 {
		line += fmt.Sprintf("; %d imported without an answer", r.Unanswered)
	}
	return line
}
