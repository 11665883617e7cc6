package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tandem/capture/importer"
)

func (a *app) captureImportCommand() *cobra.Command {
	var (
		out      recordingFlags
		function string
	)
	cmd := &cobra.Command{
		Use:   "import PATH…",
		Short: "Record events that are in files",
		Long: `import takes plain Lambda events, as a console test event or sam local
generate-event has them: one JSON document a .json file, one a line in .jsonl
files, and folders of these. Which kind of event it is, is found from its
contents.

Without --function, the folder below PATH that an event is in names its
function. Events that were delivered twice are recorded once.`,
		Example: `  tandem capture import events/ --function create-order -o orders.rec
  tandem capture import event.json --function f -o - | tandem inspect -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.captureImport(cmd.Context(), args, function, out)
		},
	}
	out.register(cmd)
	cmd.Flags().StringVar(&function, "function", "", "`name` of the function that the events are for")
	return cmd
}

func (a *app) captureImport(ctx context.Context, paths []string, function string, out recordingFlags) error {
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("import: %w", err)
		}
	}
	w, err := a.createRecording(out.out, out.append)
	if err != nil {
		return err
	}
	result, err := importer.Import(ctx, paths, importer.Options{Function: function, Sink: w})
	w.AddLost(int64(result.Refused))
	for _, note := range result.Notes {
		a.say("%s", note)
	}
	a.say("%s in %s: %d imported, %s, %d refused; %s skipped", count(result.Events, "event"),
		count(result.Files, "file"), result.Imported, count(result.Duplicates, "duplicate"), result.Refused,
		count(result.Skipped, "file"))
	return errors.Join(err, w.Close())
}
