// Package runtimeapi speaks the Lambda Runtime API, version 2018-06-01: the protocol in which a function's runtime
// asks its environment for events and posts what the function made of them.
//
// A [Host] is the environment's half and serves one runtime. A [Recorder] notes each invocation and its outcome from
// what a wiretap between the two sees; neither side can tell that it is there.
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for what is not written there the
// runtime interface emulator, https://github.com/aws/aws-lambda-runtime-interface-emulator.
package runtimeapi

// The headers and trailers of the protocol.
const (
	headerRequestID       = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline        = "Lambda-Runtime-Deadline-Ms"
	headerFunctionARN     = "Lambda-Runtime-Invoked-Function-Arn"
	headerTraceID         = "Lambda-Runtime-Trace-Id"
	headerClientContext   = "Lambda-Runtime-Client-Context"
	headerCognitoIdentity = "Lambda-Runtime-Cognito-Identity"
	headerErrorType       = "Lambda-Runtime-Function-Error-Type" // also a trailer of a streamed response
	headerErrorBody       = "Lambda-Runtime-Function-Error-Body" // a trailer only: base64
	headerResponseMode    = "Lambda-Runtime-Function-Response-Mode"
)

const apiPath = "/2018-06-01/runtime/"

// Unhandled is the value of X-Amz-Function-Error for every failure of a function, reported or not.
const Unhandled = "Unhandled"

// MaxPayload is the most that a runtime may post for one invocation, in bytes: 6 MB and a little.
const MaxPayload = 6<<20 + 100
