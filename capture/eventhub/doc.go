// Package eventhub records what Azure handled, from an event hub, as Lambda invocations.
//
// [Capture] reads the partitions that the Event Hubs processor gives to this process, each by a goroutine of its own,
// and one collector takes what they read. A reader finds out by its contents what an event is: see [Kind]. One
// document may be a whole invocation, which is recorded at once, or a part of one, which a joiner keeps until the
// others have come or have had time to: the lines that the Functions host and a function log about an invocation, by
// its ID; a request and its response; a document that tandem-recorder has cut in pieces. Package translate makes
// Lambda events of what Azure's functions got.
//
// Nothing is lost, however a capture is stopped: a ledger for each partition notes which events are done with, and a
// checkpoint moves only behind those, after the recording was synced. What is read again is named the same again, so
// that it is not recorded twice. Claims on partitions can change at any time; what was not covered by a checkpoint is
// then read by who has the partition next.
package eventhub
