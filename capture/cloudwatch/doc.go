// Package cloudwatch records invocations from the log groups of Lambda functions: from the events that functions log
// themselves and the lines that the platform adds.
//
// [Capture] reads a range of time with FilterLogEvents, in windows that are read in parallel under one request quota
// and taken in order. The platform's START, END and REPORT lines, in text and in JSON, say which attempts at which
// invocations there were and how they ended. In the other lines an event is found by its shape, as [capture.Detect]
// knows it, or by a pattern that the user gives; so are answers and errors. Lines of tandem-recorder hold whole
// invocations, which win over what was found otherwise. A line
// belongs to the invocation whose request ID it names, or else to the one that its log stream was working on, because
// an environment has a stream of its own and works on one invocation at a time.
//
// An attempt leaves memory as an invocation once its REPORT was read and some log time has passed, or when it can no
// longer be running. What the log events say of it, not when they are read, decides what is recorded, so that reading
// them again gives the same invocations under the same IDs; resuming rests on that.
package cloudwatch
