// Command tandem-recorder records the invocations of a Lambda function from inside its environment. It is what the
// tandem layer is made of.
//
// Lambda starts it as an external extension. The extension listens on loopback and passes what comes there on to the
// Runtime API, byte for byte; it does not know what the bytes mean. A copy of them goes to a worker, which is this
// program again: it makes invocations of them and takes them out of the environment. The extension tells the worker
// about each invocation and asks Lambda for the next event when the worker is done, because the environment is frozen
// then. The runtime comes to the extension because the script that starts it, tandem-wrapper or bootstrap, was told
// its address.
//
// Recording never stands in the function's way: the worker may be slow, hang, crash or be killed, and what it did not
// get is dropped, counted against the invocations that Lambda tells extensions about, and logged. When the extension
// cannot do its part, the scripts leave the runtime as it was.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

const usage = `tandem-recorder records a Lambda function's invocations from inside its environment, and those of an Azure custom
handler beside it.

usage: tandem-recorder            what Lambda starts in /opt/extensions
       tandem-recorder address    print where the runtime is to find its API
       tandem-recorder start      the same, and start the recorder if need be
       tandem-recorder handler -- COMMAND…
                                  run an Azure custom handler and record it, as host.json's executable
       tandem-recorder version

It is configured by TANDEM_… variables, which docs/capture.md describes.
`

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run does what one command line asks for and returns the exit code.
func run(args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	// CloudWatch Logs has the time already.
	log := log.New(stderr, "tandem-recorder: ", 0)
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	var err error
	switch command {
	case "":
		err = extend(getenv, stdout, stderr, log)
	case workerCommand:
		err = work(args[1:], getenv, stdin, stdout, log)
	case handlerCommand:
		code, err := handle(args[1:], getenv, stdin, stdout, stderr)
		if err != nil {
			log.Print(err)
		}
		return code
	case handlerWorkerCommand:
		err = workBeside(args[1:], getenv, stdin, stdout, log)
	case "address":
		err = printAddress(getenv, stdout)
	case "start":
		err = start(getenv, stdout, stderr)
	case "version":
		_, err = fmt.Fprintln(stdout, version)
	default:
		fmt.Fprint(stderr, usage)
		return 2
	}
	if err != nil {
		log.Print(err)
		return 1
	}
	return 0
}

// terminated returns a context that ends when the process is asked to end.
func terminated() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
