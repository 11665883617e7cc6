package functions

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/capture"
)

const anyConnection = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0"

// sqsEvent returns an invocation with these records.
func sqsEvent(records ...string) *capture.Invocation {
	return &capture.Invocation{
		ID: "i", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
		Event: json.RawMessage(`{"Records":[` + strings.Join(records, ",") + `]}`),
	}
}

func fifoRecord(id, group, deduplication, body string) string {
	return fmt.Sprintf(`{"messageId":%q,"body":%q,"attributes":{"MessageGroupId":%q,"MessageDeduplicationId":%q}}`,
		id, body, group, deduplication)
}

func TestAServiceBusSaysBeforehandWhatItCannotCarry(t *testing.T) {
	plain := `{"messageId":"m","body":"b"}`
	with := func(attribute string) string {
		return `{"messageId":"m","body":"b","messageAttributes":{"a":` + attribute + `}}`
	}
	for _, tt := range []struct {
		name     string
		sessions bool
		inv      *capture.Invocation
		want     string // of the error; "" for none
	}{
		{"a message", false, sqsEvent(plain), ""},
		{"a message of a FIFO queue", true, sqsEvent(fifoRecord("m", "g", "d", "b")), ""},
		{"order that a queue does not keep", false, sqsEvent(fifoRecord("m", "g", "d", "b")), "sessions: true"},
		{"no session", true, sqsEvent(plain), "no message without a session"},
		{"the largest", false, sqsEvent(`{"messageId":"m","body":"` + strings.Repeat("x", 254<<10) + `"}`), ""},
		{"too large with what is around it", false,
			sqsEvent(`{"messageId":"m","body":"` + strings.Repeat("x", 256<<10-1) + `"}`), "over the queue's limit of 262144"},
		{"another event", false, &capture.Invocation{Trigger: capture.TriggerS3, Format: capture.FormatS3}, "format s3"},
		{"no event", false, sqsEvent(`{`), "not an SQS event"},
		{"one message twice", false, sqsEvent(plain, plain), "record 1"},
		{"a number that a double would round", false,
			sqsEvent(with(`{"stringValue":"0.1234567890123456789","dataType":"Number"}`)), "neither 64 bits nor a double"},
		{"a number that is none", false, sqsEvent(with(`{"stringValue":"0x10","dataType":"Number"}`)), "not one that is known"},
		{"a type that SQS has not", false, sqsEvent(with(`{"stringValue":"1","dataType":"Bool"}`)), `type is "Bool"`},
		{"a text without text", false, sqsEvent(with(`{"dataType":"String"}`)), "no text"},
	} {
		b, err := NewServiceBus(ServiceBusOptions{Connection: anyConnection, Name: "q", Sessions: tt.sessions})
		if err != nil {
			t.Fatal(err)
		}
		err = b.Check(tt.inv)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %.200v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestMessageAttributesKeepTheirTypes(t *testing.T) {
	for _, tt := range []struct {
		attribute string
		want      any
	}{
		{`{"stringValue":"x","dataType":"String"}`, "x"},
		{`{"stringValue":"","dataType":"String.uuid"}`, ""},
		{`{"stringValue":"9007199254740993","dataType":"Number"}`, int64(9007199254740993)},
		{`{"stringValue":"-12.50","dataType":"Number.price"}`, -12.5},
		{`{"stringValue":"1e-7","dataType":"Number"}`, 1e-7},
		{`{"stringValue":"0.0","dataType":"Number"}`, 0.0},
		{`{"binaryValue":"AAH/","dataType":"Binary.png"}`, []byte{0, 1, 255}},
		{`{"dataType":"Binary"}`, []byte{}},
	} {
		var a busAttribute
		if err := json.Unmarshal([]byte(tt.attribute), &a); err != nil {
			t.Fatal(err)
		}
		if got, err := a.value(); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %#v, %v; want %#v", tt.attribute, got, err, tt.want)
		}
	}
}

// A queue that detects duplicates would drop the second of two without a word.
func TestNoTwoDeliveriesHaveOneMessageID(t *testing.T) {
	seen := make(map[string]string)
	for _, mark := range []capture.Mark{
		{Run: "r", Invocation: "i", Target: "functions"}, {Run: "r", Invocation: "i", Target: "functions", Repeat: 1},
		{Run: "s", Invocation: "i", Target: "functions"}, {Run: "r", Invocation: "j", Target: "functions"},
	} {
		ids := make(map[string]bool)
		for i, deduplication := range []string{"", "d", "d", "e", strings.Repeat("x", 128), strings.Repeat("x", 127) + "y"} {
			r := &busRecord{MessageID: fmt.Sprint("m-", i)}
			r.Attributes.Deduplication = deduplication
			id, at := busID(r, mark, ids), fmt.Sprint(mark, i)
			if other, known := seen[id]; known || len(id) > longestID {
				t.Errorf("%s of %s is that of %s, too, or too long", id, at, other)
			}
			seen[id] = at
			if again := busID(r, mark, map[string]bool{}); i == 1 && again != id {
				t.Errorf("%s is %s when it is sent again", id, again)
			}
		}
	}
}

func TestMessagesArePackedInOrder(t *testing.T) {
	b := &ServiceBus{opts: ServiceBusOptions{MaxMessage: 10_000}}
	var records []string
	for i, size := range []int{100, 4000, 4000, 100, 8900, 10, 10} {
		records = append(records, fmt.Sprintf(`{"messageId":"%d","body":%q}`, i, strings.Repeat("x", size)))
	}
	if _, err := b.messages(sqsEvent(records...), capture.Mark{}); err == nil {
		t.Fatal("a message of 8,900 bytes fits with what is around it")
	}
	b.opts.MaxMessage = 12_000
	messages, err := b.messages(sqsEvent(records...), capture.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, part := range pack(messages, b.opts.MaxMessage) {
		m, err := transfer(part)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := m.MarshalBinary()
		if err != nil || len(encoded) > b.opts.MaxMessage {
			t.Errorf("a transfer has %d bytes, %v", len(encoded), err)
		}
		text := ""
		for _, m := range part {
			text += m.record
		}
		got = append(got, text)
	}
	if want := []string{"01", "23", "4", "56"}; !reflect.DeepEqual(got, want) {
		t.Errorf("packed as %v, want %v", got, want)
	}
}

func FuzzBusConnection(f *testing.F) {
	f.Add(anyConnection)
	f.Add("Endpoint=sb://h:1;SharedAccessSignature=SharedAccessSignature sr=a&sig=b;UseDevelopmentEmulator=true")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseBusConnection(text)
		if err != nil {
			for part := range strings.SplitSeq(text, ";") {
				if _, value, ok := strings.Cut(part, "="); ok && len(value) > 30 && strings.Contains(err.Error(), value) {
					t.Errorf("the error quotes the connection string: %v", err)
				}
			}
			return
		}
		if a.host == "" || a.key == "" && a.signature == "" {
			t.Errorf("%q is taken for %+v", text, a)
		}
		if strings.Contains(a.sign("amqps://h/q", time.Unix(1, 0)), "\n") {
			t.Log("a key's name has a line break")
		}
	})
}

func FuzzBusNumber(f *testing.F) {
	for _, text := range []string{"1", "-0", "1.5e3", "12345678901234567890", "0.1", "NaN", "1e400", "1e-400"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := number(text)
		if err != nil {
			return
		}
		// What was read writes as a number of the same digits.
		again, err := number(strings.TrimSpace(fmt.Sprint(v)))
		if err != nil && !strings.Contains(fmt.Sprint(v), "e") {
			t.Errorf("%q is %v, which is none: %v", text, v, err)
		}
		if err == nil && fmt.Sprint(again) != fmt.Sprint(v) {
			t.Errorf("%q is %v, and that %v", text, v, again)
		}
	})
}

// That the signature is right the tests with a namespace show, which checks it.
func TestTokensAreSignedAsServiceBusWants(t *testing.T) {
	a, err := parseBusConnection(anyConnection)
	if err != nil {
		t.Fatal(err)
	}
	const want = "SharedAccessSignature sr=amqps%3a%2f%2fns.servicebus.windows.net%2fq&sig="
	got := a.sign(a.audience("q"), time.Unix(1700000000, 0))
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "&se=1700000000&skn=k") || strings.Contains(got, "c2VjcmV0") {
		t.Errorf("signed as %s", got)
	}
	for text, want := range map[string]string{
		"":                                    "no Endpoint",
		"Endpoint=sb://h":                     "neither",
		anyConnection + ";EntityPath=q":       "EntityPath",
		"Endpoint=h;SharedAccessKeyName=a":    "sb://HOST",
		"Endpoint=sb://h;SharedAccessKeyName": "no value",
	} {
		if _, err := parseBusConnection(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
