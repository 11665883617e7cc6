package lambda

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
	"tandem/replay/httptrigger"
)

// httpOutcome brings what came back from a gateway to the form that an Invoke's outcome has.
//
// A Function URL and a REST API mark their own answers with x-amzn-errortype. An HTTP API does not: what it answers
// itself, a function that has nothing but {"message":"Forbidden"} to say could have answered, too. Then it is not
// known whether the function ran, so it is an error and never fired again. A load balancer says neither why.
// Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html,
// https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html and
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html.
func httpOutcome(resp *http.Response, body []byte) (*capture.Outcome, error) {
	code := resp.StatusCode
	if code < 400 {
		return httpAnswer(resp, body), nil
	}
	message, isMessage := onlyMessage(body)
	said := fmt.Errorf("the gateway answered %d: %s", code, message)
	kind, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	switch {
	case kind != "" && (isMessage || len(body) == 0):
		return gatewayRefusal(resp, kind, message)
	case code == http.StatusBadGateway && strings.EqualFold(message, "internal server error"):
		return httpFailure(capture.StatusFunctionError, "", said), nil
	case code == http.StatusGatewayTimeout && message == "Endpoint request timed out":
		return httpFailure(capture.StatusTimeout, "", said), nil
	case isBare(resp.Header) && (isMessage && ownMessages[code] == message || isHead(resp) && ownMessages[code] != ""):
		return nil, fmt.Errorf("%w: an HTTP API says so itself, and a function may, too; whether it ran is not known", said)
	case isBalancerPage(resp.Header, code, body):
		return nil, fmt.Errorf("the load balancer answered %d itself, as it does whether the function failed, ran out of "+
			"time or was not run", code)
	}
	return httpAnswer(resp, body), nil
}

// isHead tells answers that have no body to tell anything by.
func isHead(resp *http.Response) bool {
	return resp.Request != nil && resp.Request.Method == http.MethodHead
}

// ownMessages are what an HTTP API answers itself. A function behind it that cannot be invoked, is throttled or takes
// too long is 500 or 503.
var ownMessages = map[int]string{
	http.StatusUnauthorized:          "Unauthorized",
	http.StatusForbidden:             "Forbidden",
	http.StatusNotFound:              "Not Found",
	http.StatusRequestEntityTooLarge: "Request Entity Too Large",
	http.StatusTooManyRequests:       "Too Many Requests",
	http.StatusInternalServerError:   "Internal Server Error",
	http.StatusBadGateway:            "Internal Server Error", // which is a function's failure where it is read
	http.StatusServiceUnavailable:    "Service Unavailable",
}

// gatewayRefusal tells what an answer means that a Function URL or a REST API says is its own.
func gatewayRefusal(resp *http.Response, kind, message string) (*capture.Outcome, error) {
	code := resp.StatusCode
	said := fmt.Errorf("the gateway answered %d: %s", code, message)
	switch {
	case code == http.StatusTooManyRequests:
		return nil, &replay.ThrottledError{
			After:   httptrigger.RetryAfter(resp.Header.Get("Retry-After"), time.Now()),
			Outcome: httpFailure(capture.StatusThrottled, kind, said),
		}
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound:
		return nil, &replay.SetupError{Err: fmt.Errorf("%w (%s): %s", said, kind, wayOut(kind))}
	case code == http.StatusBadGateway:
		return httpFailure(capture.StatusFunctionError, kind, said), nil
	case code == http.StatusGatewayTimeout:
		return httpFailure(capture.StatusTimeout, kind, said), nil
	case code >= 500:
		return httpFailure(capture.StatusTransport, kind, said), nil // whether the function ran is not said
	default:
		return httpFailure(capture.StatusUnreplayable, kind, said), nil // its size, its content
	}
}

// wayOut says what to look at after a refusal.
func wayOut(kind string) string {
	switch kind {
	case "MissingAuthenticationTokenException":
		return "has the API such a route (its URL takes the stage, too), or does it want sign?"
	case "AccessDeniedException":
		return "does it want sign, and may the caller lambda:InvokeFunctionUrl or execute-api:Invoke?"
	case "ResourceNotFoundException":
		return "is the URL that of a function or a stage that there is?"
	case "ForbiddenException":
		return "does it want a key, or does a firewall refuse it?"
	case "UnauthorizedException":
		return "the authorizer refuses what is sent; rewrite or headers can give it what it wants"
	case "ExpiredTokenException":
		return "the AWS credentials have ended; log in again"
	default:
		return "are sign.service and sign.region those of the URL, the credentials right, and is this machine's clock?"
	}
}

func httpFailure(status capture.Status, kind string, said error) *capture.Outcome {
	return &capture.Outcome{Status: status, Error: &capture.Error{Type: kind, Message: said.Error()}}
}

// onlyMessage returns the text of an answer that consists of nothing else: a JSON document with a message, as
// gateways write, or a Function URL's bare line for a function that failed.
func onlyMessage(body []byte) (message string, ok bool) {
	if text := strings.TrimSpace(string(body)); text == "Internal Server Error" {
		return text, true
	}
	doc, err := jsonval.Parse(body)
	if err != nil || doc.Kind != jsonval.Object {
		return "", false
	}
	for i, name := range doc.Names {
		switch name {
		case "message", "Message":
			message, ok = doc.Elems[i].Text, doc.Elems[i].Kind == jsonval.String
		case "Type", "Reason":
		default:
			return "", false
		}
	}
	return message, ok
}

// isBare tells whether an answer of an HTTP API has no header of a function's.
func isBare(header http.Header) bool {
	if header.Get("Apigw-Requestid") == "" || header.Get("Content-Type") != "application/json" {
		return false
	}
	for name := range header {
		name = strings.ToLower(name)
		isCORS := strings.HasPrefix(name, "access-control-") || name == "vary"
		if name != "content-type" && !isCORS && !isFront(name, "") {
			return false
		}
	}
	return true
}

// isBalancerPage tells the pages that a load balancer writes.
func isBalancerPage(header http.Header, code int, body []byte) bool {
	return strings.HasPrefix(header.Get("Server"), "awselb/") &&
		strings.HasPrefix(header.Get("Content-Type"), "text/html") &&
		strings.Contains(string(body), fmt.Sprintf("<title>%d ", code))
}

// httpAnswer is a function's own answer, without what was added on the way.
func httpAnswer(resp *http.Response, body []byte) *capture.Outcome {
	header := make(http.Header, len(resp.Header))
	for name, values := range resp.Header {
		name = strings.ToLower(name)
		if isFront(name, values[0]) {
			continue
		}
		// A REST API moves the headers of a function's that are its own to set.
		name = strings.TrimPrefix(name, "x-amzn-remapped-")
		header[http.CanonicalHeaderKey(name)] = values
	}
	return &capture.Outcome{Status: capture.StatusOK, HTTP: capture.NewHTTPAnswer(resp.StatusCode, header, body)}
}

// isFront tells the headers of an answer that a connection needs or a gateway adds, by their names in lower case.
func isFront(name, value string) bool {
	switch name {
	case "date", "connection", "keep-alive", "content-length", "transfer-encoding", "apigw-requestid", "via", "x-cache",
		"x-amzn-requestid", "x-amzn-trace-id", "x-amz-apigw-id", "x-amz-cf-id", "x-amz-cf-pop":
		return true
	case "server":
		return strings.HasPrefix(value, "awselb/") || value == "CloudFront"
	}
	return false
}
