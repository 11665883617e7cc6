package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	// What the sample application is built of, so that go test does not take a result from its cache when it changed.
	_ "tandem/fixtures/orders/domain"
	_ "tandem/fixtures/orders/lambda/store"
	_ "tandem/fixtures/orders/traffic"
)

// TestMain makes this binary stand in for the programs that scripts run, and builds those that it cannot be.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"tandem": main, "stub": stub, "invoke": invoke, "peak": peak})
}

type suite struct{ *testing.M }

// samples is the folder of the programs that Run built: the sample application, as make build lays it out, a Lambda
// function that comes with aws-lambda-go, tandem, and its recorder.
var samples string

// lean returns tandem without tests and race detector, for tests that measure it or give it much to do.
func lean() string { return filepath.Join(samples, "tandem") }

// sampleSources are the folders of programs of the sample application.
var sampleSources = []string{
	"lambda/create-order", "lambda/process-order", "lambda/import-catalog", "driver", "handler",
}

const ordersFolder = "../../fixtures/orders"

// atOnce keeps programs built with the race detector from waiting for a second before they exit.
const atOnce = "atexit_sleep_ms=0"

func (s suite) Run() int {
	if err := os.Setenv("GORACE", atOnce); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "tandem-samples-")
	if err == nil {
		defer os.RemoveAll(dir)
		samples = dir
		err = buildSamples(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := s.M.Run()
	// A client of Event Hubs that was closed keeps the goroutine that renews its claim until the claim's half-time.
	err = goleak.Find(goleak.IgnoreAnyFunction("github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/" +
		"v2/internal.(*Namespace).startNegotiateClaimRenewer.func3"))
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func buildSamples(dir string) error {
	sdk, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	if err != nil {
		return fmt.Errorf("find aws-lambda-go: %w", err)
	}
	echo := filepath.Join(strings.TrimSpace(string(sdk)), "lambda", "testdata", "echo_handler.go")
	inFolder := func(name string) string { return filepath.Join(dir, name) + string(filepath.Separator) }
	sample := "./" + ordersFolder
	for to, from := range map[string][]string{ // of a folder's programs, each has its package's name
		filepath.Join(dir, "echo"):   {echo},
		inFolder(""):                 {".", "../tandem-recorder"},
		inFolder("orders/lambda"):    {sample + "/lambda/..."},
		inFolder("orders"):           {sample + "/driver"},
		inFolder("orders/functions"): {sample + "/handler"},
	} {
		build := append([]string{"build", "-ldflags=-s -w", "-o", to}, from...)
		if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", from, err, out)
		}
	}
	return os.CopyFS(filepath.Join(dir, "orders", "functions"), os.DirFS(filepath.Join(ordersFolder, "functionsapp")))
}

// orders returns the folder of the built sample application, and has go test's cache mind what it was built of: the
// cache knows the folders that a test has read.
func orders(t *testing.T) string {
	t.Helper()
	folders := append([]string{"functionsapp/create-order", "functionsapp/process-order", "functionsapp/import-catalog"},
		sampleSources...)
	for _, folder := range folders {
		if _, err := os.ReadDir(filepath.Join(ordersFolder, folder)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(samples, "orders")
}

// recorder returns the recorder that a user would put beside the handler, and has the cache mind it likewise.
func recorder(t *testing.T) string {
	t.Helper()
	const source = "../tandem-recorder"
	if _, err := os.ReadDir(source); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(samples, filepath.Base(source))
}

// call runs one command line in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(context.WithoutCancel(t.Context()), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}
