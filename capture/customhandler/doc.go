// Package customhandler speaks the custom handler protocol of Azure Functions, by which programs in Go, Rust and
// other languages without a worker of their own run there: the host posts a JSON payload to the handler's
// /{FunctionName} and takes the outputs from its answer. The package has the messages, both ways, and the host's half
// of the exchange ([Client]).
//
// The documentation shows only part of the protocol. What it leaves open follows the host's own source,
// https://github.com/Azure/azure-functions-host, folder src/WebJobs.Script/Workers; the facts that surprise are:
//
//   - Text inputs and most of the metadata are encoded as JSON once more: a message that says hi is "\"hi\"".
//   - Metadata whose names end in "trigger" (QueueTrigger, BlobTrigger) does not reach a handler: for a blob's name
//     there are Uri and the path's parameters.
//   - An answer has to say that it is JSON. One without that Content-Type fails the invocation, whatever it holds.
//   - A text output that happens to be base64 is decoded. That is so for ReturnValue too, but not for the body of a
//     named HTTP output.
//   - Headers of an HTTP output are a map, so it can set one cookie at most.
//
// Protocol: https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers.
package customhandler
