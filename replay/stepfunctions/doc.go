// Package stepfunctions fires invocations at state machines of AWS Step Functions, and follows executions that Lambda
// functions start. An execution's output is the result of the outcome.
//
// Source: https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html.
package stepfunctions

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// NewClient returns a client for the package's targets. An endpoint other than "" takes the place of AWS's.
func NewClient(cfg aws.Config, endpoint string) *sfn.Client {
	return sfn.NewFromConfig(cfg, func(o *sfn.Options) {
		o.Retryer = aws.NopRetryer{} // package replay alone decides what is sent again
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
			o.APIOptions = append(o.APIOptions, withoutHostPrefix)
		}
	})
}

// withoutHostPrefix keeps the SDK from calling an endpoint "sync-…" for the executions that are waited for.
func withoutHostPrefix(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("WithoutHostPrefix",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
}
