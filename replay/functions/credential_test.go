package functions

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"tandem/replay"
)

// nobody has no token, and says so as the SDK does.
type nobody struct{}

var errNobody = errors.New("DefaultAzureCredential: failed to acquire a token.\nAttempted credentials:\n\tAzureCLICredential: " +
	"az login\n--------\nRESPONSE 403\n--------")

func (nobody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errNobody
}

// Without credentials no message will ever be sent: one line says so, and the run ends.
func TestWhoHasNoTokenIsToldInOneLine(t *testing.T) {
	access := busAccess{host: "ns.servicebus.windows.net", credential: nobody{}}
	_, err := access.token(t.Context(), access.audience("q"))
	var setup *replay.SetupError
	if !errors.As(err, &setup) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "az login") {
		t.Errorf("Service Bus: %v", err)
	}
	if text := brief(errNobody); strings.Contains(text, "\n") || !strings.Contains(text, "RESPONSE 403") {
		t.Errorf("storage: %s", text)
	}
	if text := (&senders{opts: &EventHubOptions{Name: "h"}}).told("send", errNobody).Error(); strings.Contains(text, "\n") {
		t.Errorf("Event Hubs: %s", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := access.token(ctx, access.audience("q")); !errors.Is(err, context.Canceled) || errors.As(err, &setup) {
		t.Errorf("after its end: %v", err)
	}
}
