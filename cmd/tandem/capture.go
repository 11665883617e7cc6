package main

import (
	"github.com/spf13/cobra"

	"tandem/capture"
)

func (a *app) captureCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capture",
		Short: "Record invocations from where they can be had",
		Long: `capture writes a recording: a folder, one .jsonl or .jsonl.zst file, or - for
stdout. Functions that run here are recorded by tandem local lambda --record.`,
		Example: `  tandem capture import events/ --function create-order -o orders.rec
  tandem capture http --to https://api.example.com --function f -o orders.rec`,
	}
	cmd.AddCommand(a.captureCloudWatchCommand(), a.captureEventHubCommand(), a.captureHTTPCommand(),
		a.captureImportCommand())
	return cmd
}

// recordingFlags are the flags of commands that write a recording.
type recordingFlags struct {
	out    string
	append bool
}

func (r *recordingFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&r.out, "output", "o", "",
		"`recording` to write: a folder, a .jsonl or .jsonl.zst file, or - for stdout (required)")
	cmd.Flags().BoolVar(&r.append, "append", false, "go on with a recording that is there")
	cobra.CheckErr(cmd.MarkFlagRequired("output"))
}

// createRecording begins a recording. Commands call it last, when nothing else can be wrong with what they were asked
// to do, so that a mistake leaves nothing behind that is in the way of the next try.
func (a *app) createRecording(path string, appendTo bool) (*capture.Writer, error) {
	w, err := capture.Create(path, capture.CreateOptions{Append: appendTo, Tool: toolVersion(), Stdout: a.stdout})
	if err != nil {
		return nil, err
	}
	if cut := w.Cut(); cut != nil {
		a.say("%s", cut)
	}
	return w, nil
}

// A lateSink is a recording that is begun after what will write to it was made.
type lateSink struct{ *capture.Writer }
