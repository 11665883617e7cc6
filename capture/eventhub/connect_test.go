package eventhub

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// loggedOut is the credential of somebody who is not logged in.
type loggedOut struct{}

func (loggedOut) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errors.New("run az login")
}

func TestWhoHasNoCredentialsIsToldSo(t *testing.T) {
	err := Check(t.Context(), Access{Namespace: "127.0.0.1", Hub: "tap", Container: "https://127.0.0.1/c",
		Credential: loggedOut{}})
	if err == nil || !strings.Contains(err.Error(), "no Azure credentials") || !strings.Contains(err.Error(), "run az login") {
		t.Errorf("got %v", err)
	}
}
