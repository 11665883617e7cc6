package effects

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// queueURL serves GetQueueUrl and CreateQueue. Every queue exists.
func (s sqsCall) queueURL(create bool) error {
	var req struct{ QueueName string }
	if err := s.decode(&req, nil); err != nil {
		return err
	}
	if req.QueueName == "" {
		return missing("QueueName")
	}
	if create {
		s.srv.mu.Lock()
		s.srv.sqsQueues[req.QueueName] = true
		s.srv.mu.Unlock()
	}
	return s.answer(struct{ QueueUrl string }{s.urlOf(req.QueueName)})
}

// listQueues lists the queues that the config names and those that were created.
func (s sqsCall) listQueues() error {
	var req struct{ QueueNamePrefix string }
	if err := s.decode(&req, nil); err != nil {
		return err
	}
	var names []string
	for _, n := range s.srv.directory.names {
		if queue, ok := strings.CutPrefix(n.AWS, "sqs://"); ok {
			names = append(names, queue)
		}
	}
	s.srv.mu.Lock()
	for queue := range s.srv.sqsQueues {
		names = append(names, queue)
	}
	s.srv.mu.Unlock()
	slices.Sort(names)
	urls := []string{}
	for _, queue := range slices.Compact(names) {
		if strings.HasPrefix(queue, req.QueueNamePrefix) {
			urls = append(urls, s.urlOf(queue))
		}
	}
	return s.answer(struct{ QueueUrls []string }{urls})
}

// queueAttributes describes a queue as SQS does one with its defaults and nothing in it.
func (s sqsCall) queueAttributes() error {
	var req struct {
		QueueUrl       string
		AttributeNames []string
	}
	if err := s.decode(&req, &req.QueueUrl); err != nil {
		return err
	}
	queue := queueName(req.QueueUrl)
	all := map[string]string{
		"QueueArn":                              "arn:aws:sqs:" + s.srv.opts.Region + ":" + sqsAccount + ":" + queue,
		"ApproximateNumberOfMessages":           "0",
		"ApproximateNumberOfMessagesDelayed":    "0",
		"ApproximateNumberOfMessagesNotVisible": "0",
		"DelaySeconds":                          "0",
		"MaximumMessageSize":                    "1048576",
		"MessageRetentionPeriod":                "345600",
		"ReceiveMessageWaitTimeSeconds":         "0",
		"VisibilityTimeout":                     "30",
	}
	if strings.HasSuffix(queue, ".fifo") {
		all["FifoQueue"] = "true"
	}
	asked := make(map[string]string)
	for name, value := range all {
		if slices.Contains(req.AttributeNames, name) || slices.Contains(req.AttributeNames, "All") {
			asked[name] = value
		}
	}
	return s.answer(struct{ Attributes map[string]string }{asked})
}

// failJSON answers in the form of the JSON protocols. x-amzn-query-error has the code that SQS had before it spoke
// JSON, which SDKs still report. Source:
// https://smithy.io/2.0/aws/protocols/aws-query-compatible-trait.html.
func failJSON(c *call, f *fault) {
	h := c.w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("X-Amzn-Requestid", newID())
	h.Set("X-Amzn-Errortype", f.code)
	namespace := ""
	if strings.HasPrefix(c.r.Header.Get("X-Amz-Target"), sqsTarget) {
		namespace = "com.amazonaws.sqs#"
	}
	h.Set("X-Amzn-Query-Error", queryCode(f.code)+";Sender")
	text, err := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{namespace + f.code, f.message})
	if err != nil {
		http.Error(c.w, f.Error(), f.status)
		return
	}
	c.w.WriteHeader(f.status)
	_, _ = c.w.Write(text) // a client that is gone has nobody to tell
}

// queryCode returns the code that an error had in the query protocol. Source: the awsQueryError traits in the SDKs'
// model of SQS.
func queryCode(code string) string {
	switch code {
	case "EmptyBatchRequest", "TooManyEntriesInBatchRequest", "InvalidBatchEntryId", "BatchEntryIdsNotDistinct",
		"BatchRequestTooLong", "UnsupportedOperation":
		return "AWS.SimpleQueueService." + code
	}
	return code
}
