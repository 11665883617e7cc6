// Package s3tap records what S3 tells a Lambda function, together with the objects.
//
// There are three ways in. [Drain] takes notifications from a tap, a queue of SQS that gets what the function gets:
// S3's own, with or without a topic of SNS between, or events that EventBridge sends. [List] makes events of what
// is in a bucket, for a backfill. [capture.Invocation.Source] says which it was:
//
//	s3:queue/NAME             the event is what came, byte for byte
//	s3:eventbridge/NAME       the event was translated: EventBridge told the queue, and S3 triggers the function
//	s3:listing/BUCKET/PREFIX  the event was made of a listed object
//	s3:versions/BUCKET/PREFIX the event was made of a listed version of an object
//
// The objects that were created are kept in the recording, with exactly the bytes that the event is about: that
// version, or in buckets without versions the object as long as it has the event's ETag. They are checked against
// size and checksum. An invocation whose object cannot be had is recorded without it, and counted by [Reason];
// while the store does not answer, nothing is recorded and nothing leaves the queue.
package s3tap
