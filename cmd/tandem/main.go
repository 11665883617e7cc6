// Command tandem records the events that an AWS Lambda function gets, fires them at the function and at the Azure
// Functions app that it was ported to, and says whether the two behave alike.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"
)

// Exit codes. They are a promise: scripts and pipelines branch on them.
const (
	exitParity       = 0 // also: done, for commands without a verdict
	exitDiffers      = 1 // also: inspect --secrets found some
	exitUsage        = 2 // wrong usage, config or input, or a failure that the message names
	exitInconclusive = 3
	exitInterrupted  = 130
)

func main() {
	// The first signal ends ctx, and commands wind up; the second has the default effect again, which is to kill.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit code. When ctx ends, the command stops what it does in an
// orderly way.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	code := exitCode(err)
	switch code {
	case exitUsage:
		fmt.Fprintln(stderr, "tandem:", withoutControls(err.Error()))
		if hint := hintFor(err); hint != "" {
			fmt.Fprintln(stderr, "       "+hint)
		}
	case exitInterrupted:
		fmt.Fprintln(stderr, "tandem: interrupted")
	}
	return code
}

// withoutControls escapes what a terminal could take for a command. Errors name what is in files, such as IDs.
func withoutControls(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// A verdictError ends a command with a verdict other than parity. It was reported already.
type verdictError int

func (e verdictError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// errInterrupted ends a command that was asked to stop before it was done.
var errInterrupted = errors.New("interrupted")

func exitCode(err error) int {
	var verdict verdictError
	switch {
	case err == nil:
		return exitParity
	case errors.As(err, &verdict):
		return int(verdict)
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitUsage
	}
}
