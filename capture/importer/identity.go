package importer

import (
	"math"
	"strconv"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// Identity returns what tells an event from any other of its source, or "" when nothing in it does. Sources deliver
// at least once, and deliveries of one event have one identity: the message IDs of a batch, the bucket, key, version
// and sequencer of each object, the gateway's request ID. What people write by hand often repeats the IDs of the
// sample that it was made from, so the content that a redelivery repeats too, such as a message's body, is part of
// it.
func Identity(event []byte, format capture.Format) string {
	doc, err := jsonval.Parse(event)
	if err != nil {
		return ""
	}
	return identity(doc, format)
}

func identity(doc jsonval.Value, format capture.Format) string {
	switch format {
	case capture.FormatAPIGatewayV2, capture.FormatFunctionURL:
		return request(doc, doc.At("requestContext", "requestId"),
			doc.At("requestContext", "http", "method"), doc.At("rawPath"), doc.At("rawQueryString"))
	case capture.FormatAPIGatewayV1:
		return request(doc, doc.At("requestContext", "requestId"),
			doc.At("httpMethod"), doc.At("path"), doc.At("multiValueQueryStringParameters"))
	case capture.FormatALB:
		trace := doc.At("headers", "x-amzn-trace-id")
		if list := doc.At("multiValueHeaders", "x-amzn-trace-id").Elems; trace.Text == "" && len(list) > 0 {
			trace = list[0]
		}
		return request(doc, trace, doc.At("httpMethod"), doc.At("path"),
			doc.At("queryStringParameters"), doc.At("multiValueQueryStringParameters"))
	case "eventbridge":
		return join(doc.At("id"), doc.At("detail"))
	}
	return records(doc, format)
}

// request identifies an HTTP request by its ID.
func request(doc, id jsonval.Value, line ...jsonval.Value) string {
	if id.Text == "" {
		return ""
	}
	return join(append([]jsonval.Value{id, doc.At("body")}, line...)...)
}

// records identifies a batch: all of its records must have an identity of their own.
func records(doc jsonval.Value, format capture.Format) string {
	var all []string
	for _, r := range doc.At("Records").Elems {
		var id jsonval.Value
		var parts []jsonval.Value
		switch format {
		case capture.FormatSQS:
			id, parts = r.At("messageId"), []jsonval.Value{r.At("eventSourceARN"), r.At("body")}
		case capture.FormatS3:
			object := r.At("s3", "object")
			id = object.At("sequencer")
			parts = []jsonval.Value{
				r.At("s3", "bucket", "name"), object.At("key"), object.At("versionId"), r.At("eventName"),
			}
		case "sns":
			id, parts = r.At("Sns", "MessageId"), []jsonval.Value{r.At("EventSubscriptionArn"), r.At("Sns", "Message")}
		case "kinesis":
			id, parts = r.At("eventID"), []jsonval.Value{r.At("eventSourceARN"), r.At("kinesis", "data")}
		case "dynamodb":
			id, parts = r.At("eventID"), []jsonval.Value{r.At("eventSourceARN"), r.At("dynamodb")}
		}
		if id.Text == "" {
			return ""
		}
		all = append(all, join(append([]jsonval.Value{id}, parts...)...))
	}
	return strings.Join(all, "\n")
}

// join writes values so that different ones never look alike.
func join(values ...jsonval.Value) string {
	return jsonval.List(values...).String()
}

// eventTime is when an event says that it happened.
func eventTime(doc jsonval.Value) (time.Time, bool) {
	context := doc.At("requestContext")
	for _, v := range []jsonval.Value{context.At("timeEpoch"), context.At("requestTimeEpoch")} {
		if t, ok := unixTime(v, time.Millisecond); ok {
			return t, true
		}
	}
	if t, ok := textTime(doc.At("time")); ok { // EventBridge
		return t, true
	}
	if records := doc.At("Records").Elems; len(records) > 0 {
		return recordTime(records[0])
	}
	return time.Time{}, false
}

func recordTime(r jsonval.Value) (time.Time, bool) {
	if t, ok := unixTime(r.At("attributes", "SentTimestamp"), time.Millisecond); ok { // SQS
		return t, true
	}
	for _, v := range []jsonval.Value{r.At("eventTime"), r.At("Sns", "Timestamp")} {
		if t, ok := textTime(v); ok {
			return t, true
		}
	}
	for _, v := range []jsonval.Value{
		r.At("kinesis", "approximateArrivalTimestamp"), r.At("dynamodb", "ApproximateCreationDateTime"),
	} {
		if t, ok := unixTime(v, time.Second); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

// unixTime reads a count of units since 1970, which may have a fraction. Times outside the range that IDs can hold
// do not count.
func unixTime(v jsonval.Value, unit time.Duration) (time.Time, bool) {
	n, err := strconv.ParseFloat(v.Text, 64)
	if err != nil {
		return time.Time{}, false
	}
	ms := n * float64(unit/time.Millisecond)
	if !(ms > 0 && ms < 253402300800000) { // the year 10000; also false for NaN
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(ms))), true
}

func textTime(v jsonval.Value) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, v.Text)
	return t, err == nil && t.UnixMilli() > 0
}
