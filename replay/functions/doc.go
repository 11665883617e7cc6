// Package functions fires invocations at Azure Functions: HTTP triggers through their URL, functions with queue
// triggers through their Storage Queue or Service Bus queue, functions with blob triggers through their container, those
// of Event Grid and Event Hubs by events, and functions with queue and blob triggers straight through the custom handler
// that runs them.
//
// # What a Storage Queue tells
//
// A queue trigger answers nobody, but the host settles each message in the queue: it deletes it when the function
// succeeded, makes it visible again when it failed, and after the last attempt writes a copy to {queue}-poison and then
// deletes it (QueueProcessor.cs in https://github.com/Azure/azure-sdk-for-net, under
// sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues). So
//
//   - a message that is there, visible or hidden, is not settled: nothing is known;
//   - one that is gone while the poison queue has no copy of it was worked on: acked;
//   - one that is gone and has a copy was dead-lettered.
//
// Peeking shows no hidden messages, and receiving would count as an attempt. A [Queue] asks in another way: it puts a
// message hidden, releases it by Update Message, which gives it a new pop receipt, and from then on updates it with the
// old one. That never succeeds and changes nothing; the service answers PopReceiptMismatch or MessageNotFound.
//
// A copy is a new message, with an ID of its own and nothing but the text of the old one. So no two invocations have
// messages of one text in the queue at a time, and where one invocation has two and a copy comes, neither is known.
//
// # What a Service Bus queue tells
//
// Peeking shows all that is in a queue, locked and deferred messages, too, and what is in its dead-letter queue, to
// which Service Bus moves a message itself (https://learn.microsoft.com/azure/service-bus-messaging/message-browsing).
// Messages keep their IDs, and no two that a [ServiceBus] sends have one. So
//
//   - a message that is in the queue is not settled: nothing is known;
//   - one that is in the dead-letter queue was dead-lettered, unless the queue gave it up because its time was over;
//   - one that two looks in a row have found in neither was worked on: acked. Each look is at the queue first and at the
//     dead-letter queue second, so that a message which moves between them is seen.
//
// That peeking shows what is there is proven with the first message of each replay, which is scheduled for two seconds
// later and is seen before anybody can take it. A queue that forwards its messages gives nobody a receiver, and is
// refused.
//
// # What storage tells of a blob
//
// A blob trigger answers nobody either. Where the host looks through the container, it puts a message about each new
// ETag into a queue of its own and then completes a receipt, a blob that is named after host, function, ETag and blob
// (BlobTriggerExecutor.cs). The message is settled as those of a queue trigger are; the poison queue is
// webjobs-blobtrigger-poison, and its messages name container, blob and ETag. So
//
//   - a message in the poison queue tells that the upload was given up: dead-lettered;
//   - a complete receipt and, after that, a queue of the host without any message, with no such poison and the blob
//     still being the same, tell that it was worked on: acked;
//   - all else tells nothing.
//
// The queue is never received from. Its messages are counted, with those that are hidden because their function runs:
// the count is never lower than the number, and that it has the hidden ones is proved first. One app's functions share
// the queue, so what is known is known when all that were fired have ended.
//
// Where Event Grid is the trigger's source there are no receipts, and only poison can be told. Others have to tell
// success: see package completion.
package functions
