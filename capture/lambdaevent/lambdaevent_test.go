package lambdaevent_test

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/lambdaevent"
)

func TestAnSQSEventReadsBackAsTheOneThatAWSMade(t *testing.T) {
	for _, file := range []string{"sqs.json", "sqs-fifo.json"} {
		real, err := os.ReadFile("../../fixtures/events/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var batch struct{ Records []lambdaevent.SQSRecord }
		if err := json.Unmarshal(real, &batch); err != nil {
			t.Fatal(err)
		}
		made, err := lambdaevent.SQS(batch.Records)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parse(t, real), parse(t, made)); diff != "" {
			t.Errorf("%s (-AWS +made):\n%s", file, diff)
		}
		if trigger, format := capture.Detect(made); trigger != capture.TriggerSQS || format != capture.FormatSQS {
			t.Errorf("%s is taken for %s, %s", file, trigger, format)
		}
	}
}

func TestAnSQSAttributeKeepsItsKindOfValue(t *testing.T) {
	text, empty := "a<b&c", ""
	made, err := lambdaevent.SQS([]lambdaevent.SQSRecord{{
		MessageID: "m", Body: text, EventSourceARN: "arn:aws:sqs:eu-west-1:1:q",
		MessageAttributes: map[string]lambdaevent.SQSAttribute{
			"text":   {StringValue: &text, DataType: "String"},
			"empty":  {StringValue: &empty, DataType: "String"},
			"binary": {BinaryValue: []byte{0xff, 0}, DataType: "Binary"},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var read events.SQSEvent
	if err := json.Unmarshal(made, &read); err != nil {
		t.Fatal(err)
	}
	m := read.Records[0]
	want := map[string]events.SQSMessageAttribute{
		"text":   {StringValue: &text, DataType: "String", StringListValues: []string{}, BinaryListValues: [][]byte{}},
		"empty":  {StringValue: &empty, DataType: "String", StringListValues: []string{}, BinaryListValues: [][]byte{}},
		"binary": {BinaryValue: []byte{0xff, 0}, DataType: "Binary", StringListValues: []string{}, BinaryListValues: [][]byte{}},
	}
	if diff := cmp.Diff(want, m.MessageAttributes); diff != "" {
		t.Error(diff)
	}
	if m.Body != text || !strings.Contains(string(made), text) || m.EventSource != "aws:sqs" {
		t.Errorf("got %s", made)
	}
}

func TestAnS3EventReadsBackAsTheOneThatAWSMade(t *testing.T) {
	real, err := os.ReadFile("../../fixtures/events/s3.json")
	if err != nil {
		t.Fatal(err)
	}
	made, err := lambdaevent.S3(lambdaevent.S3Record{
		Region: "eu-west-1", Time: time.Date(2025, 2, 16, 10, 53, 41, 733e6, time.UTC), Name: "ObjectCreated:Put",
		Bucket: "orders-catalog", Key: "incoming/Frühjahr 2025/tea+cups.csv", Size: 1834,
		ETag: "5f4dcc3b5aa765d61d8327deb882cf99", VersionID: "3sL4kqtJlcpXroDTDmJ.rUMvExample", Sequencer: "0067B1C355A1B2C3D4",
		ConfigurationID: "catalog-created", PrincipalID: "AWS:AROAEXAMPLEID:catalog-upload", SourceIP: "198.51.100.7",
		RequestID: "R7EXAMPLE9QK2V4H", RequestID2: "EXAMPLEq3sTtVw0Y2b4d6f8h0j2l4n6p8r0t2v4x6z8A0C2E4G6I8K0M2O4Q6S8=",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(string(real), "A3EXAMPLEOWNER", "", 1) // the owner is not known from outside
	if diff := cmp.Diff(parse(t, []byte(want)), parse(t, made)); diff != "" {
		t.Errorf("(-AWS +made):\n%s", diff)
	}
	if trigger, _ := capture.Detect(made); trigger != capture.TriggerS3 {
		t.Errorf("it is taken for %s", trigger)
	}
}

func FuzzAnS3KeyComesBackAsItIsStored(f *testing.F) {
	f.Add("a b+c/ü%2B")
	f.Fuzz(func(t *testing.T, key string) {
		made, err := lambdaevent.S3(lambdaevent.S3Record{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		var read events.S3Event
		if err := json.Unmarshal(made, &read); err != nil {
			t.Fatal(err)
		}
		if got, err := url.QueryUnescape(read.Records[0].S3.Object.Key); err != nil || got != key {
			t.Errorf("%q came back as %q, %v", key, got, err)
		}
	})
}

func TestARemovedObjectHasNoSize(t *testing.T) {
	made, err := lambdaevent.S3(lambdaevent.S3Record{Name: "ObjectRemoved:DeleteMarkerCreated", Key: "a", VersionID: "v"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(made), `"size"`) || strings.Contains(string(made), `"eTag"`) {
		t.Errorf("got %s", made)
	}
}

func parse(t *testing.T, doc []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
