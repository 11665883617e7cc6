package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tandem/config"
)

// app is what commands share: the process's streams and the config.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	configPath     string
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tandem",
		Short: "Show that a Lambda function and its Azure Functions port behave alike",
		Long: `tandem records the events that an AWS Lambda function really gets, fires each at
the function and at the Azure Functions app it was ported to, at the same time,
and compares what both answered and what both did to the world.

  capture ──► recording ──► replay ──► run ──► compare ──► verdict

The verdict is parity, differs or inconclusive.

Exit codes: 0 parity, or done; 1 differs, or secrets found; 2 wrong usage,
config or input; 3 inconclusive; 130 interrupted.`,
		Example: `  tandem demo
  tandem capture import events/ --function create-order -o orders.rec
  tandem replay orders.rec -o orders.run && tandem compare orders.run`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.PersistentFlags().StringVarP(&a.configPath, "config", "c", "",
		"config `file` (default "+config.DefaultName+", if it is there)")
	root.AddCommand(a.demoCommand(), a.captureCommand(), a.inspectCommand(), a.distillCommand(), a.replayCommand(),
		a.compareCommand(), a.gateCommand(), a.localCommand(), a.versionCommand())
	finish(root)
	return root
}

// config reads these sections of the config, or all of it.
func (a *app) config(sections ...string) (*config.Config, error) {
	return config.Load(a.configPath, os.LookupEnv, sections...)
}

// say writes a line of progress or advice for people.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.stderr, format+"\n", args...) }

// takesControls reports whether colours and bars may be written to w: not to pipes and files, nor where CI keeps a log
// of a terminal, nor where the user does not want them; see https://no-color.org.
func takesControls(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" &&
		os.Getenv("NO_COLOR") == "" && os.Getenv("CI") == ""
}

// count says how many there are of a thing.
func count[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// hintFor says what to do about an error that does not say so itself.
func hintFor(err error) string {
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		return usage.hint()
	case errors.Is(err, fs.ErrNotExist):
		return "is the path right?"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program listens there: choose another port, or port 0 for any"
	default:
		return ""
	}
}
