package stepfunctions

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
	"tandem/replay/follow"
)

// MaxInput is the largest input that an execution takes, in bytes. Source:
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html.
const MaxInput = 256 << 10

// Options say which state machine a target starts. Client and StateMachine are needed.
type Options struct {
	Client       *sfn.Client // from [NewClient]
	StateMachine string      // ARN, of a version or alias, too
	Express      bool        // it is an express workflow, whose executions are waited for by the request
	// Input leads to what is the execution's input in the event. The zero value is all of it.
	Input Pointer
	Pace  follow.Pace
}

// A Target is a state machine. It is safe for concurrent use.
type Target struct {
	opts    Options
	machine arn
}

// New returns the target that opts describe.
func New(opts Options) (*Target, error) {
	machine, err := parseARN(opts.StateMachine)
	if err == nil && machine.kind != "stateMachine" {
		err = fmt.Errorf("%q is not the ARN of a state machine", opts.StateMachine)
	}
	if err != nil {
		return nil, err
	}
	return &Target{opts, machine}, nil
}

// Check refuses events that no execution can be started with; see [replay.Checker].
func (t *Target) Check(inv *capture.Invocation) error {
	_, err := t.input(inv)
	return err
}

// input returns what an execution is given of an event.
func (t *Target) input(inv *capture.Invocation) (string, error) {
	input := string(inv.Event)
	if len(t.opts.Input.names) > 0 {
		event, err := inv.Value()
		if err != nil {
			return "", fmt.Errorf("event: %w", err)
		}
		if event, err = withPlainBody(event); err != nil {
			return "", err
		}
		v, ok := t.opts.Input.Find(event)
		if !ok {
			return "", fmt.Errorf("the event has nothing at %s, where the input of the state machine is", t.opts.Input)
		}
		input = v.String()
	}
	switch {
	case len(input) > MaxInput:
		return "", fmt.Errorf("the input is larger than the %d bytes that Step Functions takes", MaxInput)
	case !utf8.ValidString(input):
		return "", errors.New("the input is not UTF-8, which Step Functions takes alone")
	}
	return input, nil
}

// withPlainBody returns an HTTP event with the body that a gateway wrote in base64 as text.
func withPlainBody(event jsonval.Value) (jsonval.Value, error) {
	if event.At("isBase64Encoded").Text != "true" {
		return event, nil
	}
	plain := jsonval.Value{Kind: jsonval.Object, Names: event.Names, Elems: append([]jsonval.Value(nil), event.Elems...)}
	for i, name := range plain.Names {
		if name != "body" || plain.Elems[i].Kind != jsonval.String {
			continue
		}
		body, err := base64.StdEncoding.DecodeString(plain.Elems[i].Text)
		if err != nil {
			return event, fmt.Errorf("the event's body: %w", err)
		}
		plain.Elems[i] = jsonval.Text(string(body))
	}
	return plain, nil
}

// Fire starts an execution and follows it to its end; see [replay.Target]. The execution's name is made of the mark,
// so that a start which is sent again, because the first may have gone astray, is that of the same execution.
func (t *Target) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	input, err := t.input(inv)
	if err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	name := executionName(ctx, inv, input)
	if t.opts.Express {
		return t.fireExpress(ctx, name, input)
	}
	answer, err := t.opts.Client.StartExecution(ctx,
		&sfn.StartExecutionInput{StateMachineArn: &t.opts.StateMachine, Name: name, Input: &input}, marked(ctx))
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode() == "ExecutionAlreadyExists" && name != nil:
		return await(ctx, t.opts.Client, t.machine.execution(*name), t.opts.Pace)
	case err != nil:
		return notStarted(ctx, err)
	}
	execution, err := parseARN(*answer.ExecutionArn)
	if err == nil && execution.kind == "express" {
		err = fmt.Errorf("%s is an express workflow: say so with express: true", t.opts.StateMachine)
		err = &replay.SetupError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	return await(ctx, t.opts.Client, *answer.ExecutionArn, t.opts.Pace)
}

func (t *Target) fireExpress(ctx context.Context, name *string, input string) (*capture.Outcome, error) {
	answer, err := t.opts.Client.StartSyncExecution(ctx,
		&sfn.StartSyncExecutionInput{StateMachineArn: &t.opts.StateMachine, Name: name, Input: &input}, marked(ctx))
	if err != nil {
		return notStarted(ctx, err)
	}
	out, err := ended(ending{
		status: string(answer.Status), output: answer.Output, details: answer.OutputDetails, failure: answer.Error,
		cause: answer.Cause, from: answer.StartDate, to: answer.StopDate,
	})
	if err == nil && answer.BillingDetails != nil {
		out.BilledMS = float64(answer.BillingDetails.BilledDurationInMilliseconds)
		out.MemoryMB = float64(answer.BillingDetails.BilledMemoryUsedInMB)
	}
	return out, err
}

// executionName returns a name of at most 80 of the characters that logs take, too, or nil when there is no mark: then
// Step Functions gives one. Of two starts, only those of one invocation, mark and input have one name.
func executionName(ctx context.Context, inv *capture.Invocation, input string) *string {
	mark, ok := replay.MarkFrom(ctx)
	if !ok {
		return nil
	}
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r == '-', r == '_':
			return r
		}
		return '_'
	}, inv.ID)
	sum := sha256.Sum256([]byte(mark.String() + "\n" + input))
	name := fmt.Sprintf("tandem-%.32s-%s", id, hex.EncodeToString(sum[:16]))
	return &name
}

// notStarted tells what a failed start means. Sources of the errors:
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html#API_StartExecution_Errors and
// …/API_StartSyncExecution.html#API_StartSyncExecution_Errors.
func notStarted(ctx context.Context, err error) (*capture.Outcome, error) {
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
		return nil, &replay.SetupError{Err: err} // it failed before anything was sent: credentials, region
	}
}

// refusal tells what an error that Step Functions answered means for the invocation.
func refusal(err error, api smithy.APIError, status int) (*capture.Outcome, error) {
	out := &capture.Outcome{Error: &capture.Error{Type: api.ErrorCode(), Message: api.ErrorMessage()}}
	switch {
	case isThrottled(api), status == http.StatusTooManyRequests:
		out.Status = capture.StatusThrottled
		return nil, &replay.ThrottledError{Outcome: out}
	case isRefused(api), isNoStateMachine(api), status == http.StatusForbidden, status == http.StatusUnauthorized:
		return nil, &replay.SetupError{Err: err}
	case status >= 500:
		out.Status = capture.StatusTransport // the service failed; whether the execution was started is not said
	default:
		out.Status = capture.StatusUnreplayable // the request was refused: its name, its input
	}
	return out, nil
}

// isNoStateMachine reports whether there is none that could be started in this way.
func isNoStateMachine(api smithy.APIError) bool {
	switch api.ErrorCode() {
	case "InvalidArn", "StateMachineDoesNotExist", "StateMachineDeleting", "StateMachineTypeNotSupported":
		return true
	}
	return false
}
