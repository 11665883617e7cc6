package functions

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// busScope is what tokens for Service Bus are asked for with.
const busScope = "https://servicebus.azure.net/.default"

// tokenLife is for how long a token that is made of a key is good.
const tokenLife = 2 * time.Hour

// busAccess says where a namespace is and how one is let in.
type busAccess struct {
	host       string // with a port, if need be
	plain      bool   // without TLS, for emulators
	keyName    string
	key        string
	signature  string // in the place of a key: a token that was made elsewhere
	credential azcore.TokenCredential
}

// parseBusConnection reads a connection string of a Service Bus namespace. Errors do not quote it. The form is that of
// https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas.
func parseBusConnection(text string) (busAccess, error) {
	var a busAccess
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		if part != "" && !ok {
			return a, errors.New("a part of the connection string has no value")
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "endpoint":
			u, err := url.Parse(value)
			if err != nil || u.Host == "" {
				return a, errors.New("the connection string's Endpoint is not sb://HOST")
			}
			a.host = u.Host
		case "sharedaccesskeyname":
			a.keyName = value
		case "sharedaccesskey":
			a.key = value
		case "sharedaccesssignature":
			a.signature = value
		case "entitypath":
			return a, errors.New("the connection string is of one queue (EntityPath); leave that out and name the queue")
		case "usedevelopmentemulator":
			a.plain = strings.EqualFold(value, "true")
		}
	}
	switch {
	case a.host == "":
		return a, errors.New("the connection string has no Endpoint")
	case a.signature == "" && (a.keyName == "" || a.key == ""):
		return a, errors.New("the connection string has neither SharedAccessKeyName and SharedAccessKey nor a " +
			"SharedAccessSignature")
	}
	return a, nil
}

// address is the namespace's, and audience that of something in it, as tokens name it.
func (a *busAccess) address() string {
	if a.plain {
		return "amqp://" + a.host
	}
	return "amqps://" + a.host
}

func (a *busAccess) audience(path string) string { return a.address() + "/" + path }

// A busToken is what is put at $cbs.
type busToken struct {
	kind, text string
	expires    time.Time // zero when that is not known
}

// token returns a token for an audience.
func (a *busAccess) token(ctx context.Context, audience string) (busToken, error) {
	switch {
	case a.credential != nil:
		t, err := a.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{busScope}})
		if err != nil {
			if ctx.Err() != nil {
				return busToken{}, ctx.Err()
			}
			return busToken{}, setup("no token of Entra ID for Service Bus: log in with az login, or set AZURE_TENANT_ID, "+
				"AZURE_CLIENT_ID and AZURE_CLIENT_SECRET: %s", inOneLine(err))
		}
		return busToken{"jwt", t.Token, t.ExpiresOn}, nil
	case a.signature != "":
		return busToken{kind: sasToken, text: a.signature}, nil
	}
	expires := time.Now().Add(tokenLife)
	return busToken{sasToken, a.sign(audience, expires), expires}, nil
}

const sasToken = "servicebus.windows.net:sastoken"

// sign returns a shared access signature:
// https://learn.microsoft.com/rest/api/eventhub/generate-sas-token.
func (a *busAccess) sign(audience string, expires time.Time) string {
	resource, until := strings.ToLower(url.QueryEscape(audience)), strconv.FormatInt(expires.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(a.key))
	mac.Write([]byte(resource + "\n" + until))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%s&skn=%s", resource,
		url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))), until, a.keyName)
}
