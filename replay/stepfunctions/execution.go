package stepfunctions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/follow"
)

// An arn is the name of a state machine or of an execution. Source:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html.
type arn struct {
	partition, region, account string
	kind                       string   // stateMachine, execution, express
	names                      []string // of the state machine, then of the execution, version or alias
}

func parseARN(text string) (arn, error) {
	parts := strings.Split(text, ":")
	isARN := len(parts) >= 7 && parts[0] == "arn" && parts[2] == "states" && parts[6] != ""
	if !isARN || strings.ContainsAny(text, " \t\r\n") {
		return arn{}, fmt.Errorf("%q is not an ARN of Step Functions", text)
	}
	return arn{parts[1], parts[3], parts[4], parts[5], parts[6:]}, nil
}

// RegionOf returns the region of a state machine, whose ARN this is.
func RegionOf(stateMachine string) (string, error) {
	a, err := parseARN(stateMachine)
	return a.region, err
}

// execution is the ARN of the execution that has this name. That of a version or alias is named as the state machine's.
func (a arn) execution(name string) string {
	return strings.Join([]string{"arn", a.partition, "states", a.region, a.account, "execution", a.names[0], name}, ":")
}

// await follows an execution to its end.
func await(ctx context.Context, client *sfn.Client, execution string, pace follow.Pace) (*capture.Outcome, error) {
	return follow.Until(ctx, pace, 0, func(ctx context.Context) (*capture.Outcome, error) {
		answer, err := client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution}, marked(ctx))
		if err != nil {
			return nil, notDescribed(execution, err)
		}
		return described(answer)
	})
}

// notDescribed tells what a failed DescribeExecution means; see [follow.Ask]. Source:
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html#API_DescribeExecution_Errors.
func notDescribed(execution string, err error) error {
	var api smithy.APIError
	answered := errors.As(err, &api)
	said := fmt.Errorf("describe execution %s: %s", execution, withoutURL(err))
	switch {
	case !answered, isServerFault(err), isThrottled(api): // it changes nothing, so it is asked again
		return &follow.Pending{Err: said}
	case api.ErrorCode() == "ExecutionDoesNotExist":
		return &follow.Missing{Err: said}
	case isRefused(api):
		return &replay.SetupError{Err: said}
	}
	return said
}

// withoutURL is the text of an error without the URL that was asked for.
func withoutURL(err error) string {
	out, err := replay.TransportFailure(context.Background(), err)
	if err != nil {
		return err.Error()
	}
	return out.Error.Message
}

// described is the outcome of an execution that has ended; see [follow.Ask].
func described(d *sfn.DescribeExecutionOutput) (*capture.Outcome, error) {
	switch d.Status {
	case types.ExecutionStatusRunning, types.ExecutionStatusPendingRedrive:
		return nil, &follow.Pending{Err: fmt.Errorf("the execution has not ended: it is %s", d.Status)}
	}
	return ended(ending{
		status: string(d.Status), output: d.Output, details: d.OutputDetails, failure: d.Error, cause: d.Cause,
		from: d.StartDate, to: d.StopDate,
	})
}

// An ending is what is said of an execution that has ended.
type ending struct {
	status         string
	output         *string
	details        *types.CloudWatchEventsExecutionDataDetails
	failure, cause *string
	from, to       *time.Time
}

// ended brings an ending to the neutral form. What became of an execution that somebody aborted is not known, and
// neither is an output that is not there.
func ended(e ending) (*capture.Outcome, error) {
	out := &capture.Outcome{Error: &capture.Error{Type: aws.ToString(e.failure), Message: aws.ToString(e.cause)}}
	if e.from != nil && e.to != nil && e.to.After(*e.from) {
		out.PlatformMS = replay.Milliseconds(e.to.Sub(*e.from))
	}
	switch e.status {
	case string(types.ExecutionStatusSucceeded):
		if e.output == nil || *e.output == "" || e.details != nil && !e.details.Included {
			return nil, errors.New("the execution succeeded, but its output was left out")
		}
		out.Status, out.Error = capture.StatusOK, nil
		out.Result = capture.NewBody("application/json", []byte(*e.output))
	case string(types.ExecutionStatusFailed):
		out.Status = capture.StatusFunctionError
	case string(types.ExecutionStatusTimedOut):
		out.Status = capture.StatusTimeout
	case string(types.ExecutionStatusAborted):
		return nil, fmt.Errorf("the execution was ended from outside (ABORTED): %s", out.Error.Message)
	default:
		return nil, fmt.Errorf("the execution has the status %q, which is not known", e.status)
	}
	return out, nil
}

// isRefused reports whether credentials or permissions are wrong, so that further requests would be refused, too. The
// errors that all services have are at
// https://docs.aws.amazon.com/step-functions/latest/apireference/CommonErrors.html.
func isRefused(api smithy.APIError) bool {
	switch api.ErrorCode() {
	case "AccessDeniedException", "ExpiredTokenException", "IncompleteSignature", "InvalidClientTokenId",
		"InvalidSignatureException", "MissingAuthenticationToken", "NotAuthorized", "OptInRequired",
		"UnrecognizedClientException", "KmsAccessDeniedException", "KmsInvalidStateException":
		return true
	}
	return false
}

// isThrottled reports whether a request was refused for want of capacity.
func isThrottled(api smithy.APIError) bool {
	switch api.ErrorCode() {
	case "ThrottlingException", "KmsThrottlingException", "TooManyRequestsException", "ExecutionLimitExceeded":
		return true
	}
	return false
}

// isServerFault reports whether the service failed at a request.
func isServerFault(err error) bool {
	var response *smithyhttp.ResponseError
	return errors.As(err, &response) && response.HTTPStatusCode() >= 500
}

// marked sends the mark in ctx, if there is one. State machines do not get to see it.
func marked(ctx context.Context) func(*sfn.Options) {
	return func(o *sfn.Options) {
		if mark, ok := replay.MarkFrom(ctx); ok {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue(capture.MarkHeader, mark.String()))
		}
	}
}
