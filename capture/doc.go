// Package capture defines what tandem records: invocations, the outcomes they had, and the recording that keeps
// both on disk.
//
// An [Invocation] is one event that a Lambda function got, byte for byte, with the context it arrived in. Its
// [Trigger] says what kind of source it came from and its [Format] how the source wrote it; both are found from the
// event alone by [Detect]. Its [Shape] is the structure of the event, and two invocations of one shape exercise a
// function alike.
//
// An [Outcome] is what one deployment did with an invocation, in a neutral form that belongs to neither cloud: the
// status, the HTTP answer or the result, the fate of each message of a batch, and the [Effect] list, which is what
// the function did to the world. [LambdaOutcome] brings a Lambda answer to that form.
//
// A recording is what a [Writer] writes, with tokens in the place of what its [Redactor] finds, and what [Open] gives
// back as a [Recording]. Sources of invocations live in folders below this one and depend on it; nothing here depends
// on them.
package capture
