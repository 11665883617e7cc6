// Package lambda fires invocations at AWS Lambda functions: through the Invoke API, which waits for the answer or
// does not, and over HTTP through a Function URL, an API Gateway or a load balancer.
package lambda

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"tandem/capture"
	"tandem/replay"
)

// MaxPayload is the largest event that a synchronous invocation takes, in bytes. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
const MaxPayload = 6 << 20

// NewClient returns an Invoke API client. An endpoint other than "" takes the place of AWS's.
func NewClient(cfg aws.Config, endpoint string) *sdk.Client {
	return sdk.NewFromConfig(cfg, func(o *sdk.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
}

// Options say which function a target invokes.
type Options struct {
	Client    *sdk.Client // its retries are not used
	Function  string      // name or ARN
	Qualifier string      // version or alias; "" is $LATEST
}

// A Target is one Lambda function. It is safe for concurrent use.
type Target struct{ opts Options }

// New returns the target that opts describe.
func New(opts Options) *Target { return &Target{opts} }

// Check refuses events that Lambda would; see [replay.Checker].
func (t *Target) Check(inv *capture.Invocation) error {
	if len(inv.Event) > MaxPayload {
		return fmt.Errorf("event is larger than the %d bytes that Lambda takes", MaxPayload)
	}
	return nil
}

// Fire invokes the function and waits for its answer; see [replay.Target].
func (t *Target) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	if err := t.Check(inv); err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	input := &sdk.InvokeInput{
		FunctionName:   &t.opts.Function,
		InvocationType: types.InvocationTypeRequestResponse,
		LogType:        types.LogTypeTail,
		Payload:        inv.Event,
	}
	if t.opts.Qualifier != "" {
		input.Qualifier = &t.opts.Qualifier
	}
	if mark, ok := replay.MarkFrom(ctx); ok {
		input.ClientContext = aws.String(mark.ClientContext())
	}
	start := time.Now()
	answer, err := t.opts.Client.Invoke(ctx, input, withoutRetries)
	elapsed := time.Since(start)
	if err != nil {
		return failure(ctx, err)
	}
	out := outcome(inv, answer)
	out.DurationMS = replay.Milliseconds(elapsed)
	return out, nil
}

// withoutRetries keeps the SDK from sending a request again, which package replay alone decides.
func withoutRetries(o *sdk.Options) { o.Retryer = aws.NopRetryer{} }

func outcome(inv *capture.Invocation, answer *sdk.InvokeOutput) *capture.Outcome {
	out := capture.LambdaOutcome(inv.Format, inv.Event, answer.Payload, aws.ToString(answer.FunctionError))
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(answer.LogResult))
	if err != nil {
		return out // no tail, no measurements; the answer stands
	}
	r, ok := parseReport(tail)
	id, _ := awsmiddleware.GetRequestIDMetadata(answer.ResultMetadata)
	if !ok || id != "" && r.requestID != id {
		return out
	}
	out.PlatformMS, out.BilledMS, out.InitMS, out.MemoryMB = r.durationMS, r.billedMS, r.initMS, r.memoryMB
	if r.timedOut && out.Status == capture.StatusFunctionError {
		out.Status = capture.StatusTimeout
	}
	return out
}

// failure tells what a failed Invoke call means. Source of the errors:
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors.
func failure(ctx context.Context, err error) (*capture.Outcome, error) {
	var (
		api      smithy.APIError
		response *smithyhttp.ResponseError
		send     *smithyhttp.RequestSendError
	)
	switch {
	case ctx.Err() != nil:
		return nil, err
	case errors.As(err, &api) && errors.As(err, &response):
		return refusal(err, api, response.HTTPStatusCode())
	case errors.As(err, &response), errors.As(err, &send):
		return replay.TransportFailure(ctx, err)
	default:
		return nil, &replay.SetupError{Err: err} // it failed before anything was sent: credentials, region, name
	}
}

// refusal tells what an error that Lambda answered means for the invocation.
func refusal(err error, api smithy.APIError, status int) (*capture.Outcome, error) {
	out := &capture.Outcome{Error: &capture.Error{Type: api.ErrorCode(), Message: api.ErrorMessage()}}
	switch {
	case status == http.StatusTooManyRequests || api.ErrorCode() == "EC2ThrottledException":
		var throttled *types.TooManyRequestsException
		if errors.As(err, &throttled) && throttled.Reason != "" {
			out.Error.Message = strings.TrimSpace(fmt.Sprintf("%s (%s)", out.Error.Message, throttled.Reason))
		}
		out.Status = capture.StatusThrottled
		return nil, &replay.ThrottledError{After: retryAfter(err), Outcome: out}
	case status == http.StatusNotFound, status == http.StatusForbidden, status == http.StatusUnauthorized:
		return nil, &replay.SetupError{Err: err}
	case status >= 500:
		out.Status = capture.StatusTransport // the service failed; whether the function ran is not said
		return out, nil
	default:
		out.Status = capture.StatusUnreplayable // the request was refused: its size, its content
		return out, nil
	}
}

func retryAfter(err error) time.Duration {
	var throttled *types.TooManyRequestsException
	if !errors.As(err, &throttled) {
		return 0
	}
	seconds, err := strconv.ParseFloat(aws.ToString(throttled.RetryAfterSeconds), 64)
	if err != nil || !(seconds >= 0 && seconds < 1e6) {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
