// Package replay fires the invocations of a recording at every target at once and writes down what each did.
//
// A [Target] is one deployment that invocations can be fired at. [Run] reads a recording, fires each invocation at
// all targets of its function at the same moment, and appends one [Trial] an invocation to a run: a folder with a
// [Manifest] and trial files, which [OpenRun] reads. A run can be stopped or killed at any moment and resumed.
//
// Invocations of one lane (a FIFO message group, an S3 key) are fired one after the other, in the order of the
// recording; all others run side by side. Retry, timing and effects wrap a target here, once for all of them.
//
// Targets live in folders below this one and depend on it; nothing here depends on them.
package replay
