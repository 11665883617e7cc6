package capture

import (
	"strings"

	"tandem/capture/jsonval"
)

// A Trigger is the kind of source that an event came from.
type Trigger string

const (
	TriggerHTTP  Trigger = "http"
	TriggerSQS   Trigger = "sqs"
	TriggerS3    Trigger = "s3"
	TriggerOther Trigger = "other"
)

// A Format is the way in which a source writes its events. For [TriggerOther] it is the service's name where that is
// known ("sns", "kinesis", "dynamodb", "eventbridge", …), else [FormatOther].
type Format string

const (
	FormatAPIGatewayV1 Format = "apigw-v1"
	FormatAPIGatewayV2 Format = "apigw-v2"
	FormatFunctionURL  Format = "function-url"
	FormatALB          Format = "alb"
	FormatSQS          Format = "sqs"
	FormatS3           Format = "s3"
	FormatSNS          Format = "sns"
	FormatEventBridge  Format = "eventbridge"
	FormatKinesis      Format = "kinesis"
	FormatDynamoDB     Format = "dynamodb"
	FormatOther        Format = "other"
)

// Trigger returns the kind of source that writes events in this format.
func (f Format) Trigger() Trigger {
	switch f {
	case FormatAPIGatewayV1, FormatAPIGatewayV2, FormatFunctionURL, FormatALB:
		return TriggerHTTP
	case FormatSQS:
		return TriggerSQS
	case FormatS3:
		return TriggerS3
	default:
		return TriggerOther
	}
}

// Detect tells the trigger and the format of an event from its contents alone. An event that is not JSON, or that no
// known service writes, is [FormatOther].
//
// Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html and the pages of each service below it.
func Detect(event []byte) (Trigger, Format) {
	v, err := jsonval.Parse(event)
	if err != nil {
		return TriggerOther, FormatOther
	}
	f := detect(v)
	return f.Trigger(), f
}

func detect(event jsonval.Value) Format {
	if records := event.At("Records"); len(records.Elems) > 0 {
		return recordFormat(records.Elems[0])
	}
	context := event.At("requestContext")
	switch {
	case has(context, "elb"):
		return FormatALB
	case has(context, "connectionId"):
		return "apigw-websocket"
	case event.At("version").Text == "2.0" && has(context, "http"):
		if strings.Contains(context.At("domainName").Text, ".lambda-url.") {
			return FormatFunctionURL
		}
		return FormatAPIGatewayV2
	case has(event, "httpMethod") && has(event, "requestContext"):
		return FormatAPIGatewayV1
	}
	return serviceFormat(event)
}

// recordFormat tells a batch by its first record: all records of a batch come from one source.
func recordFormat(record jsonval.Value) Format {
	source := record.At("eventSource").Text
	if source == "" {
		source = record.At("EventSource").Text // SNS spells it with a capital
	}
	if service, ok := strings.CutPrefix(source, "aws:"); ok && service != "" {
		return Format(service) // sqs, s3, sns, kinesis, dynamodb, ses, codecommit
	}
	if has(record, "cf") {
		return "cloudfront"
	}
	return FormatOther
}

// serviceFormat tells the events that have neither records nor a request context.
func serviceFormat(event jsonval.Value) Format {
	switch {
	case has(event, "detail-type") && has(event, "source"):
		return FormatEventBridge
	case has(event.At("awslogs"), "data"):
		return "cloudwatch-logs"
	case has(event, "deliveryStreamArn"):
		return "firehose"
	case has(event, "triggerSource") && has(event, "userPoolId"):
		return "cognito"
	case has(event, "CodePipeline.job"):
		return "codepipeline"
	case event.At("Event").Text == "s3:TestEvent":
		return "s3-test" // S3 sends it when a notification is set up; it has no records
	}
	if service, ok := strings.CutPrefix(event.At("eventSource").Text, "aws:"); ok {
		switch service {
		case "kafka", "SelfManagedKafka":
			return "kafka"
		case "mq", "amq", "rmq":
			return "mq"
		}
	}
	return FormatOther
}

func has(v jsonval.Value, name string) bool {
	_, ok := v.Get(name)
	return ok
}
