package functions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"tandem/replay"
)

// renewBefore is how long before its end a token is not used any more, as the SDK's own clients do.
const renewBefore = 5 * time.Minute

// tokens are the bearer tokens of one scope. The SDK's credentials keep theirs, but for those that run another
// program for each. It is safe for concurrent use.
type tokens struct {
	credential azcore.TokenCredential
	scope      string

	turn chan struct{} // holds one element while somebody looks at or renews the token
	now  azcore.AccessToken
}

func newTokens(credential azcore.TokenCredential, scope string) *tokens {
	return &tokens{credential: credential, scope: scope, turn: make(chan struct{}, 1)}
}

// authorize gives a request a token. Without one nothing is sent; the error is a [*replay.SetupError] unless the
// request's context has ended.
func (t *tokens) authorize(r *http.Request) error {
	token, err := t.get(r.Context())
	if r.Context().Err() != nil {
		return context.Cause(r.Context())
	}
	if err != nil {
		return &replay.SetupError{Err: fmt.Errorf("no token of Entra ID for %s: log in with az login, or set "+
			"AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET: %s", t.scope, inOneLine(err))}
	}
	r.Header["authorization"] = []string{"Bearer " + token}
	return nil
}

// get returns a token that is good for some time yet, or, when no other is to be had, for now.
func (t *tokens) get(ctx context.Context) (string, error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-t.turn }()
	left := time.Until(t.now.ExpiresOn)
	if left > renewBefore && (t.now.RefreshOn.IsZero() || time.Now().Before(t.now.RefreshOn)) {
		return t.now.Token, nil
	}
	fresh, err := t.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{t.scope}})
	switch {
	case err == nil:
		t.now = fresh
	case left <= 0:
		return "", err
	}
	return t.now.Token, nil
}

// inOneLine is err without the rulers and line ends that the SDK puts around the answer of a service.
func inOneLine(err error) string {
	words := strings.Fields(err.Error())
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "----") }), " ")
}

// checkPrivate refuses a URL to which a token would be sent in the clear.
func checkPrivate(address string) error {
	address, _, _ = strings.Cut(address, "{") // of a path parameter
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("url: it is not one") // whose text may hold a key
	}
	if u.Scheme != "https" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback() {
		return fmt.Errorf("url: a token of Entra ID is sent over https only, not to %s://%s", u.Scheme, u.Host)
	}
	return nil
}

// easyAuthText is what App Service Authentication says to callers that it knows and does not admit.
const easyAuthText = "You do not have permission to view this directory or page"

// refusedToken tells the refusals of App Service Authentication from the function's own answers: it names the
// authority to get a token from. A challenge that does not may be either's. Source:
// https://learn.microsoft.com/azure/app-service/overview-authentication-authorization.
func refusedToken(resp *http.Response, body []byte, scope string) error {
	var challenge string
	for _, line := range resp.Header.Values("WWW-Authenticate") {
		if scheme, _, _ := strings.Cut(line, " "); strings.EqualFold(scheme, "Bearer") {
			challenge = line
		}
	}
	way := "set entra: {scope: api://CLIENT-ID/.default} for the function"
	if scope != "" {
		way = fmt.Sprintf("is %s among the audiences that it allows, and the caller's identity among those that it admits?",
			strings.TrimSuffix(scope, "/.default"))
	}
	switch code := resp.StatusCode; {
	case code != http.StatusUnauthorized && code != http.StatusForbidden:
		return nil
	case strings.Contains(challenge, "authorization_uri="),
		scope != "" && code == http.StatusForbidden && strings.Contains(string(body), easyAuthText):
		return &replay.SetupError{Err: fmt.Errorf("%d, which App Service Authentication answered before the function: %s", code, way)}
	case scope != "" && challenge != "":
		return fmt.Errorf("%d with WWW-Authenticate: Bearer: App Service Authentication refuses a token so, and a function "+
			"may, too; whether it ran is not known", code)
	}
	return nil
}
