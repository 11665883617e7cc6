package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// programs is the folder that the tests' programs are built into.
var programs struct {
	dir   string
	mu    sync.Mutex
	built map[string]error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tandem-local-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs.dir, programs.built = dir, make(map[string]error)
	// A client of Event Hubs that was closed keeps the goroutine that renews its claim until the claim's half-time.
	renewer := goleak.IgnoreAnyFunction("github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/" +
		"v2/internal.(*Namespace).startNegotiateClaimRenewer.func3")
	goleak.VerifyTestMain(m, renewer, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// build returns the program that testdata/name has the source of. It is built once.
func build(t *testing.T, name string) string {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	path := filepath.Join(programs.dir, name)
	err, done := programs.built[name]
	if !done {
		var out []byte
		if out, err = exec.Command("go", "build", "-o", path, "./testdata/"+name).CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		programs.built[name] = err
	}
	if err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	return path
}
