package completion

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A client that was closed keeps the goroutine that renews its claim until the claim's half-time.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/"+
		"v2/internal.(*Namespace).startNegotiateClaimRenewer.func3"))
}
