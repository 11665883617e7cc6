package lambda

import (
	"fmt"
	"net/http"
	"strings"

	"tandem/capture"
	"tandem/replay/httptrigger"
)

// HTTPOptions say where a function is called over HTTP: a Function URL, an API Gateway or a load balancer. URL is
// needed.
type HTTPOptions struct {
	// URL is where the function is. {name} stands for the event's path parameter of that name and {path} for its
	// whole path, both as the client escaped them. The event's query goes behind the URL's own.
	URL    string
	Sign   *Signing          // nil for a function that asks for no signature
	Key    string            // of an API Gateway's usage plan; "" for none
	Header map[string]string // sent, too, in the place of the client's own
	HTTP   *http.Client      // from [replay.NewHTTPClient], which is the default too
}

// HTTP is a Lambda function behind a gateway. It is safe for concurrent use.
//
// An outcome has the same form as that of an Invoke: what the gateway adds to an answer is taken off, and its own
// answers are told from the function's. Where both may answer alike, Fire returns an error.
type HTTP struct {
	*httptrigger.Trigger
	opts HTTPOptions
}

// NewHTTP returns the target that opts describe. It fails when the URL is not one.
func NewHTTP(opts HTTPOptions) (*HTTP, error) {
	t := &HTTP{opts: opts}
	var err error
	t.Trigger, err = httptrigger.New(httptrigger.Options{
		URL: opts.URL, HTTP: opts.HTTP, Accept: t.accept, Prepare: t.prepare, Outcome: httpOutcome,
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Limits of what stands before a function, in bytes of a request's body. Sources:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html,
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html and
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html.
const (
	maxFunctionURL = MaxPayload
	maxGateway     = 10 << 20
	maxALB         = 1 << 20
)

// frontLimit returns how long a body may be where the request goes. A domain name of one's own tells nothing; there
// it is what the event came through that counts.
func frontLimit(host string, sign *Signing, format capture.Format) (front string, limit int) {
	service := ""
	if sign != nil {
		service = sign.Service
	}
	isURL, isGateway := strings.Contains(host, ".lambda-url."), strings.Contains(host, ".execute-api.")
	isALB := strings.HasSuffix(host, ".elb.amazonaws.com")
	known := isURL || isGateway || isALB || service != ""
	switch {
	case isALB, !known && format == capture.FormatALB:
		return "a load balancer", maxALB
	case isGateway, !isURL && service == serviceGateway,
		!known && (format == capture.FormatAPIGatewayV1 || format == capture.FormatAPIGatewayV2):
		return "API Gateway", maxGateway
	default:
		return "a Function URL", maxFunctionURL
	}
}

// accept refuses what the gateway or the service behind it would.
func (t *HTTP) accept(inv *capture.Invocation, r *http.Request, body []byte) error {
	front, limit := frontLimit(r.URL.Hostname(), t.opts.Sign, inv.Format)
	switch {
	case len(body) > limit:
		return fmt.Errorf("the body has %d bytes, and %s takes %d", len(body), front, limit)
	case len(inv.Event) > MaxPayload:
		return fmt.Errorf("event is larger than the %d bytes that Lambda takes", MaxPayload)
	case t.opts.Sign != nil:
		return checkSignable(r.URL)
	}
	return nil
}

// prepare gives a request its keys and, last of all, its signature.
func (t *HTTP) prepare(r *http.Request, body []byte) error {
	for name, value := range t.opts.Header {
		if strings.EqualFold(name, "User-Agent") {
			r.Header["User-Agent"] = []string{value}
			continue
		}
		r.Header[strings.ToLower(name)] = []string{value}
	}
	if t.opts.Key != "" {
		r.Header["x-api-key"] = []string{t.opts.Key}
	}
	if t.opts.Sign == nil {
		return nil
	}
	return t.opts.Sign.sign(r, body)
}
