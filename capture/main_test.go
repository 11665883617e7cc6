package capture

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		recordUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}
