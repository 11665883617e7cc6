package effects

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem/capture"
)

// SQS in its JSON protocol. Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/ and
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html.

const (
	sqsTarget     = "AmazonSQS."
	sqsAccount    = "000000000000"
	maxSQSMessage = 1 << 20 // bytes of body and attributes, for a message and for a batch
	maxSQSDelay   = 900     // seconds
	maxSQSBatch   = 10
)

type sqsCall struct {
	*call
	body []byte
}

// serveSQS serves the operation that X-Amz-Target names.
func (c *call) serveSQS(target string) error {
	operation, ok := strings.CutPrefix(target, sqsTarget)
	if !ok {
		return c.unsupported(target)
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	s := sqsCall{c, body}
	switch operation {
	case "SendMessage":
		return s.sendMessage()
	case "SendMessageBatch":
		return s.sendMessageBatch()
	case "GetQueueUrl", "CreateQueue":
		return s.queueURL(operation == "CreateQueue")
	case "ListQueues":
		return s.listQueues()
	case "GetQueueAttributes":
		return s.queueAttributes()
	case "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility":
		var req struct{ QueueUrl string }
		if err := s.decode(&req, &req.QueueUrl); err != nil {
			return err
		}
		return s.answer(struct{}{})
	case "DeleteMessageBatch", "ChangeMessageVisibilityBatch":
		return s.acceptBatch()
	}
	return c.unsupported("SQS " + operation)
}

// decode reads the request. queueURL points into req; the queue must be named.
func (s sqsCall) decode(req any, queueURL *string) error {
	if err := json.Unmarshal(s.body, req); err != nil {
		return &fault{http.StatusBadRequest, "SerializationException", err.Error()}
	}
	if queueURL != nil && queueName(*queueURL) == "" {
		return missing("QueueUrl")
	}
	return nil
}

// queueName is the last segment of a queue's URL, whatever the host: functions may have the real URL in their config.
func queueName(url string) string {
	if url == "" {
		return ""
	}
	return strings.Trim(path.Base(url), "/.")
}

func missing(parameter string) *fault {
	return &fault{
		http.StatusBadRequest, "MissingParameter", "The request must contain the parameter " + parameter + ".",
	}
}

func invalid(format string, args ...any) *fault {
	return &fault{http.StatusBadRequest, "InvalidParameterValue", fmt.Sprintf(format, args...)}
}

func (s sqsCall) answer(doc any) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	h := s.w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("X-Amzn-Requestid", newID())
	_, _ = s.w.Write(text) // a client that is gone has nobody to tell
	return nil
}

func (s sqsCall) urlOf(queue string) string {
	return "http://" + s.r.Host + "/" + sqsAccount + "/" + queue
}

// A sqsMessage is what SendMessage and an entry of SendMessageBatch have in common.
type sqsMessage struct {
	MessageBody             string
	DelaySeconds            int
	MessageAttributes       map[string]sqsAttribute
	MessageSystemAttributes map[string]sqsAttribute
	MessageDeduplicationId  string
	MessageGroupId          string
}

type sqsAttribute struct {
	DataType         string
	StringValue      *string
	BinaryValue      []byte
	StringListValues []string
	BinaryListValues [][]byte
}

// check returns how the service would refuse m, or nil.
func (m *sqsMessage) check(queue string) *fault {
	fifo := strings.HasSuffix(queue, ".fifo")
	switch {
	case m.MessageBody == "":
		return missing("MessageBody")
	case !isSQSText(m.MessageBody):
		return &fault{
			http.StatusBadRequest, "InvalidMessageContents", "Invalid characters found in the message body.",
		}
	case m.size() > maxSQSMessage:
		return invalid("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxSQSMessage)
	case m.DelaySeconds < 0 || m.DelaySeconds > maxSQSDelay:
		return invalid("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= %d.",
			m.DelaySeconds, maxSQSDelay)
	case fifo && m.MessageGroupId == "":
		return missing("MessageGroupId")
	case fifo && m.DelaySeconds != 0:
		return invalid("Value %d for parameter DelaySeconds is invalid. "+
			"Reason: The request include parameter that is not valid for this queue type.", m.DelaySeconds)
	case len(m.MessageAttributes) > 10:
		return invalid("Number of message attributes [%d] exceeds the allowed maximum [10].", len(m.MessageAttributes))
	}
	for name, a := range m.MessageAttributes {
		if f := a.check(name); f != nil {
			return f
		}
	}
	return nil
}

func (a sqsAttribute) check(name string) *fault {
	kind, _, _ := strings.Cut(a.DataType, ".")
	switch {
	case kind != "String" && kind != "Number" && kind != "Binary":
		return invalid("The type of message (user) attribute '%s' is invalid. "+
			"You must use only the following supported type prefixes: Binary, Number, String.", name)
	case len(a.StringListValues)+len(a.BinaryListValues) > 0:
		return &fault{
			http.StatusBadRequest, "UnsupportedOperation", "Message attribute list values in SendMessage are not supported.",
		}
	case kind == "Binary" && len(a.BinaryValue) == 0, kind != "Binary" && (a.StringValue == nil || *a.StringValue == ""):
		return invalid("The message (user) attribute '%s' must contain a non-empty value of type '%s'.", name, kind)
	}
	return nil
}

func (m *sqsMessage) size() int {
	n := len(m.MessageBody)
	for name, a := range m.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.value())
	}
	return n
}

// isSQSText says whether SQS takes the text: the characters of XML 1.0.
func isSQSText(text string) bool {
	for _, r := range text {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return utf8.ValidString(text)
}

func (m *sqsMessage) effect(resource string) capture.Effect {
	attributes := make(map[string]string)
	for name, a := range m.MessageAttributes {
		if a.binary() {
			attributes[name] = base64.StdEncoding.EncodeToString(a.BinaryValue)
		} else {
			attributes[name] = *a.StringValue
		}
	}
	if m.DelaySeconds != 0 {
		attributes["delay-seconds"] = strconv.Itoa(m.DelaySeconds)
	}
	if len(attributes) == 0 {
		attributes = nil
	}
	return capture.Effect{
		Kind: capture.MessageSend, Resource: resource, Key: m.MessageGroupId,
		Body: capture.NewBody("", []byte(m.MessageBody)), Attributes: attributes,
	}
}

// A sqsSent is the answer for one message.
type sqsSent struct {
	Id                           string `json:",omitempty"` // of a batch's entry
	MessageId                    string
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:",omitempty"`
	MD5OfMessageSystemAttributes string `json:",omitempty"`
	SequenceNumber               string `json:",omitempty"`
}

func (s sqsCall) sent(queue, entry string, m *sqsMessage) sqsSent {
	answer := sqsSent{
		Id: entry, MessageId: newID(), MD5OfMessageBody: md5OfText(m.MessageBody),
		MD5OfMessageAttributes:       md5OfAttributes(m.MessageAttributes),
		MD5OfMessageSystemAttributes: md5OfAttributes(m.MessageSystemAttributes),
	}
	if strings.HasSuffix(queue, ".fifo") {
		s.srv.mu.Lock()
		s.srv.sequence++
		answer.SequenceNumber = fmt.Sprintf("%020d", s.srv.sequence)
		s.srv.mu.Unlock()
	}
	return answer
}

func (s sqsCall) sendMessage() error {
	var req struct {
		QueueUrl string
		sqsMessage
	}
	if err := s.decode(&req, &req.QueueUrl); err != nil {
		return err
	}
	queue := queueName(req.QueueUrl)
	if f := req.check(queue); f != nil {
		return f
	}
	s.srv.send(s.job, req.effect(s.srv.directory.resource("sqs://"+queue)))
	return s.answer(s.sent(queue, "", &req.sqsMessage))
}

type sqsFailed struct {
	Id, Code, Message string
	SenderFault       bool
}

func (s sqsCall) sendMessageBatch() error {
	var req struct {
		QueueUrl string
		Entries  []struct {
			Id string
			sqsMessage
		}
	}
	if err := s.decode(&req, &req.QueueUrl); err != nil {
		return err
	}
	var ids []string
	size := 0
	for i := range req.Entries {
		ids = append(ids, req.Entries[i].Id)
		size += req.Entries[i].size()
	}
	if f := checkBatch(ids); f != nil {
		return f
	}
	if size > maxSQSMessage {
		return &fault{
			http.StatusBadRequest, "BatchRequestTooLong",
			fmt.Sprintf("Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxSQSMessage, size),
		}
	}
	queue := queueName(req.QueueUrl)
	var effects []capture.Effect
	answer := struct {
		Successful []sqsSent
		Failed     []sqsFailed
	}{[]sqsSent{}, []sqsFailed{}}
	for i := range req.Entries {
		e := &req.Entries[i]
		if f := e.check(queue); f != nil {
			answer.Failed = append(answer.Failed, sqsFailed{e.Id, f.code, f.message, true})
			continue
		}
		effects = append(effects, e.effect(s.srv.directory.resource("sqs://"+queue)))
		answer.Successful = append(answer.Successful, s.sent(queue, e.Id, &e.sqsMessage))
	}
	s.srv.send(s.job, effects...)
	return s.answer(answer)
}

// checkBatch checks the IDs of a batch's entries.
func checkBatch(ids []string) *fault {
	switch {
	case len(ids) == 0:
		return &fault{http.StatusBadRequest, "EmptyBatchRequest", "There should be at least one entry in the request."}
	case len(ids) > maxSQSBatch:
		return &fault{
			http.StatusBadRequest, "TooManyEntriesInBatchRequest",
			fmt.Sprintf("Maximum number of entries per request are %d. You have sent %d.", maxSQSBatch, len(ids)),
		}
	}
	for i, id := range ids {
		if id == "" || len(id) > 80 || strings.Trim(id, batchIDChars) != "" {
			return &fault{
				http.StatusBadRequest, "InvalidBatchEntryId",
				"A batch entry id can only contain alphanumeric characters, hyphens and underscores. " +
					"It can be at most 80 letters long.",
			}
		}
		if slices.Contains(ids[:i], id) {
			return &fault{http.StatusBadRequest, "BatchEntryIdsNotDistinct", "Id " + id + " repeated."}
		}
	}
	return nil
}

const batchIDChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// acceptBatch answers operations on received messages, of which there are none: all entries succeed.
func (s sqsCall) acceptBatch() error {
	var req struct {
		QueueUrl string
		Entries  []struct{ Id string }
	}
	if err := s.decode(&req, &req.QueueUrl); err != nil {
		return err
	}
	var ids []string
	for _, e := range req.Entries {
		ids = append(ids, e.Id)
	}
	if f := checkBatch(ids); f != nil {
		return f
	}
	return s.answer(struct {
		Successful []struct{ Id string }
		Failed     []sqsFailed
	}{req.Entries, []sqsFailed{}})
}
