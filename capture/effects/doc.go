// Package effects records what functions do to the world: a [Server] stands in the place of S3, SQS, Azure Blob and
// Azure Queue storage, and the functions' own SDKs are pointed at it by AWS_ENDPOINT_URL and by a connection string.
//
// # Words
//
// A resource is a bucket with its container, or a queue with its counterpart; [Resources] gives the logical name of
// each. A tag names one firing of one invocation at one target: the text of a [capture.Mark], or a request ID. The
// [Work] of a tag is what that firing did: its effects in the order in which they were done, and what it read.
//
// # Whose effect it is
//
// An environment works on one invocation at a time, so each has a [Port] of its own, and what arrives there between
// [Port.Begin] and [Port.End] belongs to the tag that Begin named. The moment that counts is when a request's header
// has arrived, but it has an effect only once all of it has: a client that goes away half way did nothing.
// What arrives while no invocation is being worked on, or for work that was taken already, changes the state, is
// counted, and is nobody's.
//
// # What reads see
//
// The ports of a server share one state: one server is one side of a comparison. A read sees, in this order, what
// its own invocation wrote or deleted, what was pinned for its invocation, what the other invocations of its replay
// wrote or deleted, what anybody wrote or deleted outside of replays, and what was pinned for another invocation and
// not made by the recording itself. So each replay starts from the same state. Buckets, containers and queues are
// there without having been created.
//
// # What an effect has
//
// Both clouds' requests come out as the same [capture.Effect] if they mean the same:
//
//   - object.put has the body and the attributes "content-type", "content-encoding", "content-disposition",
//     "content-language", "cache-control", "tags" and "metadata.<lower-case name>" that the client sent. The type
//     application/octet-stream is never an attribute: aws-sdk-go-v2 and azblob send it unasked, and on the wire it
//     cannot be told from what a caller asked for. A copy is a put of the copied bytes; a multipart upload or a block
//     list is one put when it is completed.
//   - object.delete says that the function asked for the object to be gone. S3 answers alike whether the object was
//     there or not, so the effect does not depend on it, and a blob whose deletion is answered with 404 has it too.
//   - message.send has the message group as key, the message attributes by name (binary ones in base64), and
//     "delay-seconds" where the message is delayed: DelaySeconds, or the visibilitytimeout of a new queue message. A
//     Storage Queue message is taken out of its base64; one that is not base64 over UTF-8 text keeps its text and has
//     the attribute "encoding": "not base64", since the Functions host will not read it as it was meant.
//
// A failed request has no effect. What neither side can have in common is left out: SQS deduplication IDs (nothing
// is deduplicated either), trace headers, a queue message's time to live, storage classes and access tiers, ACLs.
//
// # What it does not do
//
// Signatures are not checked, and messages that were sent are never received: a queue's consumers are fired by
// tandem. An operation that is not implemented is answered with 501 in its service's form, counted, and kept in
// [Stats], so that no run passes over it.
package effects
