// Package translate makes Lambda invocations of what Azure handled, so that after a cutover a failback to Lambda
// can be verified with the traffic of the meantime. For what the trigger of an Azure function got, it makes the
// event that the Lambda function would have got, and for what became of it the outcome in neutral form.
//
// An HTTP request becomes the event of an API Gateway, a Function URL or a load balancer ([HTTPEvent]), a Storage
// Queue or Service Bus message an SQS event of one record ([QueueEvent], [ServiceBusEvent]), and a blob an S3
// notification of one record ([BlobEvent]). [Source] marks the invocation as translated.
//
// What Azure does not know is not in the events, or is what the field's comment says:
//
//   - of HTTP: authorizers and their claims, stage variables, the API's and the account's ID, TLS versions, client
//     certificates, X-Amzn-Trace-Id. The client's address is what X-Forwarded-For says last. The host is Azure's
//     unless another one is given. What Azure's front end and host put into a request is taken out, and so is the
//     access key. A body that the host gave a handler as text is the text: bytes that were none are lost there
//     already.
//   - of SQS: who sent the message (SenderId is empty); the receipt handle (the pop receipt or the lock token
//     stands in its place); the attributes' MD5; of a delivery after the first, when the first one was; and of
//     Storage Queues message attributes and groups, which they do not have. Azure hands out single messages: how
//     SQS would have batched them is not known.
//   - of S3: who wrote the object, from where, its version, the MD5 that an ETag often is (Azure's ETag stands
//     there), and whether it was a PUT, a POST, a copy or a multipart upload (it is a PUT).
package translate
