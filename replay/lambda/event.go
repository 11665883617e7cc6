package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/completion"
)

// MaxEventPayload is the largest event that an asynchronous invocation takes, in bytes. Source:
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
const MaxEventPayload = 1 << 20

// EventOptions say which function an [Event] invokes. Client and Function are needed.
type EventOptions struct {
	Client    *sdk.Client // its retries are not used
	Function  string      // name or ARN
	Qualifier string      // version or alias; "" is $LATEST
	// Destination is where the function's records go, those of success and those of failure. Without one each
	// invocation is sent, and what became of it is unknown.
	Destination *Destination
}

// An Event is a Lambda function that is invoked asynchronously, as S3, SNS and EventBridge do. It is safe for
// concurrent use.
//
// Lambda runs a function that fails again, twice unless it is told otherwise, one minute and two minutes later, so
// Fire may take minutes. The outcome is that of the last attempt. The function does not see the mark: Lambda hands a
// client context to synchronous invocations alone.
type Event struct{ opts EventOptions }

// NewEvent returns the target that opts describe.
func NewEvent(opts EventOptions) *Event { return &Event{opts} }

// Check refuses events that Lambda would, and those of services that wait for the answer; see [replay.Checker].
func (t *Event) Check(inv *capture.Invocation) error {
	switch {
	case inv.Trigger == capture.TriggerHTTP || inv.Trigger == capture.TriggerSQS:
		return fmt.Errorf("an event of the trigger %s is not invoked asynchronously: AWS waits for its answer", inv.Trigger)
	case len(inv.Event) > MaxEventPayload:
		return fmt.Errorf("event is larger than the %d bytes that Lambda takes asynchronously", MaxEventPayload)
	}
	return nil
}

// Fire invokes the function and waits for the record of what became of it; see [replay.Target].
func (t *Event) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	if err := t.Check(inv); err != nil {
		return replay.Unreplayable("%v", err), nil
	}
	if t.opts.Destination == nil {
		id, out, err := t.invoke(ctx, inv)
		if out != nil || err != nil {
			return out, err
		}
		return nil, fmt.Errorf("request %s was taken; without a destination nobody hears what became of it", id)
	}
	heard, err := t.opts.Destination.listen(ctx)
	if err != nil {
		return nil, err // nothing was sent
	}
	defer heard.close()
	sent := time.Now()
	id, out, err := t.invoke(ctx, inv)
	if out != nil || err != nil {
		return out, err
	}
	return heard.outcome(ctx, id, inv, sent)
}

// invoke hands the event to Lambda, which answers with an ID or with an outcome or an error, see [replay.Target].
func (t *Event) invoke(ctx context.Context, inv *capture.Invocation) (id string, out *capture.Outcome, err error) {
	input := &sdk.InvokeInput{
		FunctionName:   &t.opts.Function,
		InvocationType: types.InvocationTypeEvent,
		Payload:        inv.Event,
	}
	if t.opts.Qualifier != "" {
		input.Qualifier = &t.opts.Qualifier
	}
	if mark, ok := replay.MarkFrom(ctx); ok {
		input.ClientContext = aws.String(mark.ClientContext())
	}
	answer, err := t.opts.Client.Invoke(ctx, input, withoutRetries)
	if err != nil {
		out, err = failure(ctx, err)
		return "", out, err
	}
	id, _ = awsmiddleware.GetRequestIDMetadata(answer.ResultMetadata)
	if id == "" {
		return "", nil, errors.New("it was taken without a request ID, so nothing can be heard of it")
	}
	return id, nil, nil
}

// settled makes an outcome of what was reported of one request.
func settled(id string, reports []completion.Report) (*capture.Outcome, error) {
	found, _, err := completion.Judge(reports, 0)
	switch {
	case err != nil:
		return nil, fmt.Errorf("request %s: %w", id, err)
	case found.First == nil:
		return nil, fmt.Errorf("request %s: its record (%s) does not have what the function answered", id,
			cmp.Or(found.Fate, "of no known end"))
	}
	return found.First, nil
}
