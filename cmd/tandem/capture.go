package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tandem/capture"
	"tandem/capture/redact"
)

func (a *app) captureCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capture",
		Short: "Record invocations from where they can be had",
		Long: `capture writes a recording: a folder, one .jsonl or .jsonl.zst file, or - for
stdout. Functions that run here are recorded by tandem local lambda --record.

Credentials are replaced by tokens before anything is written, unless
--no-redact says otherwise; the config's redact says what else is replaced.
Tokens are made with a random key, or with the one in ` + redactKeyEnv + `, of 16
bytes or more.

With --recipient it is encrypted, with age, and nothing but a secret key opens
it; a file is then named .jsonl.zst.age. To go on with one, no key is needed.`,
		Example: `  tandem capture import events/ --function create-order -o orders.rec
  tandem capture http --to https://api.example.com --function f -o orders.rec`,
	}
	cmd.AddCommand(a.captureCloudWatchCommand(), a.captureCollectCommand(), a.captureEventHubCommand(),
		a.captureHTTPCommand(), a.captureImportCommand(), a.captureS3Command(), a.captureSQSCommand())
	return cmd
}

// recordingFlags are the flags of commands that write a recording.
type recordingFlags struct {
	out      string
	append   bool
	noRedact bool
	to       recipientFlags
}

func (r *recordingFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&r.out, "output", "o", "",
		"`recording` to write: a folder, a .jsonl or .jsonl.zst file, or - for stdout (required)")
	cobra.CheckErr(cmd.MarkFlagRequired("output"))
	cmd.Flags().BoolVar(&r.append, "append", false, "go on with a recording that is there")
	r.registerNoRedact(cmd)
	r.to.register(cmd.Flags())
}

func (r *recordingFlags) registerNoRedact(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.noRedact, "no-redact", false, "record secrets as they are, in place of tokens for them")
}

// createRecording begins a recording, which secrets do not get into unless the flags say so. Commands call it last,
// when nothing else can be wrong with what they were asked to do, so that a mistake leaves nothing behind that is in
// the way of the next try.
func (a *app) createRecording(flags recordingFlags) (*capture.Writer, error) {
	recipients, err := flags.to.parse()
	if err != nil {
		return nil, err
	}
	opts := capture.CreateOptions{Append: flags.append, Recipients: recipients}
	if !flags.noRedact {
		if opts.Redactor, err = a.redactor(); err != nil {
			return nil, err
		}
	}
	if info, err := os.Stat(flags.out); err == nil && flags.append && info.Mode().IsRegular() && info.Size() > 0 {
		a.say("%s is one file, which does not say whether secrets were replaced in what it has already", flags.out)
	}
	return a.create(flags.out, opts)
}

// create begins a recording with options that need no Tool or Stdout.
func (a *app) create(path string, opts capture.CreateOptions) (*capture.Writer, error) {
	opts.Tool, opts.Stdout = toolVersion(), a.stdout
	w, err := capture.Create(path, opts)
	if err != nil {
		return nil, err
	}
	if cut := w.Cut(); cut != nil {
		a.say("%s", cut)
	}
	return w, nil
}

// redactKeyEnv names the variable with the key of tokens that several recordings are to have alike.
const redactKeyEnv = "TANDEM_REDACT_KEY"

// redactor returns what replaces secrets, by the config's rules and the environment's key.
func (a *app) redactor() (*redact.Redactor, error) {
	cfg, err := a.config("redact")
	if err != nil {
		return nil, err
	}
	opts := redact.Options{Rules: cfg.Redact}
	if key, ok := os.LookupEnv(redactKeyEnv); ok {
		opts.Key = []byte(key)
	}
	r, err := redact.New(opts)
	if err != nil && opts.Key != nil {
		return nil, fmt.Errorf("%s: %w", redactKeyEnv, err)
	}
	return r, err
}

// closeRecording ends a recording and says what is not in it as it was captured. Failed is why the capture did not come
// to its end, nil if it did; it is returned with what else goes wrong.
func (a *app) closeRecording(w *capture.Writer, failed error) error {
	end := w.Close
	if failed != nil {
		end = w.CloseIncomplete
	}
	err := errors.Join(failed, end())
	m := w.Manifest()
	if m.Redaction == nil {
		return err
	}
	if m.Counts.Objects > 0 {
		a.say("%s kept as they are: tandem inspect --secrets searches them", count(m.Counts.Objects, "pinned object"))
	}
	if len(m.Redaction.Replaced) == 0 {
		return err
	}
	var kinds []string
	var all int64
	for _, kind := range slices.Sorted(maps.Keys(m.Redaction.Replaced)) {
		n := m.Redaction.Replaced[kind]
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
		all += n
	}
	a.say("%s replaced: %s", count(all, "secret"), strings.Join(kinds, ", "))
	return err
}

// A lateSink is a recording that is begun after what will write to it was made.
type lateSink struct{ *capture.Writer }
