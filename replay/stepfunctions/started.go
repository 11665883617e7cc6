package stepfunctions

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
	"tandem/replay/follow"
)

// StartedOptions say which function starts executions. Function, Client and Execution are needed.
type StartedOptions struct {
	Function replay.Target // starts an execution, and answers with its ARN
	Client   *sfn.Client   // from [NewClient]
	// Execution leads to the ARN in the function's answer: /body/… in an HTTP answer's body, /result/… in what it
	// returned to anything else.
	Execution Pointer
	Pace      follow.Pace
}

// Started is a function that starts executions. Its outcome is that of the execution. It is safe for concurrent use.
type Started struct{ opts StartedOptions }

// NewStarted returns the target that opts describe.
func NewStarted(opts StartedOptions) (*Started, error) {
	if p := opts.Execution; len(p.names) == 0 || p.names[0] != "body" && p.names[0] != "result" {
		return nil, fmt.Errorf("%q begins with neither /body nor /result", p)
	}
	return &Started{opts}, nil
}

// Check refuses what the function cannot be sent; see [replay.Checker].
func (s *Started) Check(inv *capture.Invocation) error {
	if c, ok := s.opts.Function.(replay.Checker); ok {
		return c.Check(inv)
	}
	return nil
}

// Fire calls the function and follows the execution that it started to its end; see [replay.Target]. The answer of a
// function that failed, or that refused to start anything, is its outcome.
func (s *Started) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	out, err := s.opts.Function.Fire(ctx, inv)
	if err != nil || out.Status != capture.StatusOK || out.HTTP != nil && out.HTTP.Status >= 300 {
		return out, err
	}
	v, ok := s.opts.Execution.Find(answerOf(out))
	if !ok || v.Kind != jsonval.String {
		return nil, fmt.Errorf("the function's answer has no execution at %s: what became of what it started is not known",
			s.opts.Execution)
	}
	execution, err := parseARN(v.Text)
	if err != nil {
		return nil, fmt.Errorf("what the function answered at %s: %w", s.opts.Execution, err)
	}
	switch region := s.opts.Client.Options().Region; {
	case execution.kind == "express":
		return nil, fmt.Errorf("%s is of an express workflow: Step Functions does not tell what became of it", v.Text)
	case execution.kind != "execution" || len(execution.names) < 2:
		return nil, fmt.Errorf("%s is not an execution", v.Text)
	case execution.region != region:
		return nil, fmt.Errorf("execution %s is not in the region %s", v.Text, region)
	}
	return await(ctx, s.opts.Client, v.Text, s.opts.Pace)
}

// answerOf is what a function answered, as pointers lead into it.
func answerOf(out *capture.Outcome) jsonval.Value {
	doc := jsonval.Value{Kind: jsonval.Object}
	if out.HTTP != nil {
		doc.Add("body", content(out.HTTP.Body))
	}
	if out.Result != nil {
		doc.Add("result", content(out.Result))
	}
	return doc
}

// content is JSON by its contents, and anything else as text.
func content(b *capture.Body) jsonval.Value {
	if v, err := jsonval.Parse(b.Bytes()); err == nil {
		return v
	}
	return jsonval.Text(string(b.Bytes()))
}
