// Package drain empties an SQS queue into a recording: it is what all sources that are fed from a queue have in
// common.
//
// A message is deleted from the queue only when what was made of it is on disk, so that neither a kill of the process
// nor a failure of the machine can lose it. Between the two, a kill leaves a message that is recorded and still in
// the queue; it comes again, and so may any message, because SQS delivers at least once. [IDs] knows what was
// recorded, so each message is recorded once.
//
//	queue, err := drain.Find(ctx, client, "orders-tap")
//	counts, err := drain.Run(ctx, drain.Options{
//		Client: client, Queue: queue, Sink: writer, Known: ids,
//		Handle: func(ctx context.Context, batch []types.Message) ([]drain.Refusal, error) { … },
//	})
package drain
