package functions

import (
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"tandem/capture"
	"tandem/capture/translate"
	"tandem/replay"
	"tandem/replay/httptrigger"
)

// HTTPOptions say where an HTTP trigger is. URL is needed.
type HTTPOptions struct {
	// URL is where the function is. {name} stands for the event's path parameter of that name and {path} for its
	// whole path, both as the client escaped them. The event's query goes behind the URL's own.
	URL string
	Key string // the function's or the host's key; "" for anonymous functions
	// Credential gets the tokens of Entra ID for Scope that requests carry, in the place of the client's own
	// authorization; nil for an app that asks for none. A token is kept, and another got before it ends.
	Credential azcore.TokenCredential
	Scope      string       // such as "api://CLIENT-ID/.default"
	HTTP       *http.Client // from [replay.NewHTTPClient], which is the default too
}

// HTTP is a function with an HTTP trigger. It is safe for concurrent use.
//
// A 429 or 503 with Retry-After is a throttle, as the platform sends it; without, or with JSON, it is the function's own
// answer, which may have run, and is not fired again. A 500 with an empty body is a function that threw.
type HTTP struct {
	*httptrigger.Trigger
	key    string
	scope  string  // "" without tokens
	tokens *tokens // nil without
}

// NewHTTP returns the target that opts describe. It fails when the URL is not one, or not one to send tokens to.
func NewHTTP(opts HTTPOptions) (*HTTP, error) {
	t := &HTTP{key: opts.Key}
	if opts.Credential != nil {
		if err := checkPrivate(opts.URL); err != nil {
			return nil, err
		}
		t.scope, t.tokens = opts.Scope, newTokens(opts.Credential, opts.Scope)
	}
	var err error
	t.Trigger, err = httptrigger.New(httptrigger.Options{
		URL: opts.URL, HTTP: opts.HTTP, Prepare: t.authorize, Outcome: t.answered,
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// authorize gives a request the function's key and a token.
func (t *HTTP) authorize(r *http.Request, _ []byte) error {
	if t.key != "" {
		r.Header["x-functions-key"] = []string{t.key}
	}
	return t.Authorize(r)
}

// Authorize gives a request the token that the app asks for, if it asks for one.
func (t *HTTP) Authorize(r *http.Request) error {
	if t.tokens == nil {
		return nil
	}
	return t.tokens.authorize(r)
}

// isJSON tells the answers that a platform never gives: those of functions that refuse something themselves.
func isJSON(contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// answered brings an answer to the neutral form.
func (t *HTTP) answered(resp *http.Response, body []byte) (*capture.Outcome, error) {
	after := resp.Header.Get("Retry-After")
	refused := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable
	if refused && after != "" && !isJSON(resp.Header.Get("Content-Type")) {
		out := &capture.Outcome{
			Status: capture.StatusThrottled, HTTP: capture.NewHTTPAnswer(resp.StatusCode, resp.Header, body),
		}
		return nil, &replay.ThrottledError{After: httptrigger.RetryAfter(after, time.Now()), Outcome: out}
	}
	if err := refusedToken(resp, body, t.scope); err != nil {
		return nil, err
	}
	return translate.HTTPOutcome(resp.StatusCode, resp.Header, body), nil
}
