package functions

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tandem/capture"
)

// sqsBatch is an SQS invocation with a message for each body, m-0 and on.
func sqsBatch(t testing.TB, bodies ...string) *capture.Invocation {
	t.Helper()
	var event struct{ Records []sqsMessage }
	for i, body := range bodies {
		event.Records = append(event.Records, sqsMessage{MessageID: "m-" + string(rune('0'+i)), Body: body})
	}
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return &capture.Invocation{ID: "i", Trigger: capture.TriggerSQS, Format: capture.FormatSQS, Event: text}
}

const connection = "AccountName=a;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:1/a;"

func TestAReportIsNotWaitedForAsLongAsAnOutcome(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{
		0: maxGrace, time.Second: time.Second, 10 * time.Minute: maxGrace,
	} {
		q, err := NewQueue(QueueOptions{Account: connection, Name: "orders", Grace: given})
		if err != nil {
			t.Fatal(err)
		}
		if q.opts.Grace != want {
			t.Errorf("%v: %v, want %v", given, q.opts.Grace, want)
		}
	}
}

func TestAQueueChecksWhatItCannotCarry(t *testing.T) {
	fifo := sqsBatch(t, "x")
	fifo.Event = json.RawMessage(`{"Records":[{"messageId":"m","body":"x","attributes":{"MessageGroupId":"g"}}]}`)
	twice := sqsBatch(t, "x")
	twice.Event = json.RawMessage(`{"Records":[{"messageId":"m","body":"x"},{"messageId":"m","body":"y"}]}`)
	other := sqsBatch(t, "x")
	other.Trigger, other.Format = capture.TriggerS3, capture.FormatS3
	for _, tt := range []struct {
		name  string
		plain bool
		inv   *capture.Invocation
		want  string // "" when it can be sent
	}{
		{"the largest in base64", false, sqsBatch(t, strings.Repeat("x", 48<<10)), ""},
		{"one byte more", false, sqsBatch(t, "a", strings.Repeat("x", 48<<10+1)), "message m-1 has 65540 bytes"},
		{"the largest as it is", true, sqsBatch(t, strings.Repeat("x", 64<<10)), ""},
		{"one byte more as it is", true, sqsBatch(t, strings.Repeat("x", 64<<10+1)), "message m-0 has 65537 bytes"},
		{"characters that XML has not, in base64", false, sqsBatch(t, "a\x00b"), ""},
		{"characters that XML has not, as they are", true, sqsBatch(t, "a\x00b"), "in base64 only"},
		{"line ends that XML changes", true, sqsBatch(t, "a\r\nb"), "in base64 only"},
		{"a FIFO queue's order would be lost", false, fifo, "order"},
		{"two fates for one ID", false, twice, "twice"},
		{"another trigger", false, other, "not events of the format s3"},
	} {
		q, err := NewQueue(QueueOptions{Account: connection, Name: "orders", PlainText: tt.plain})
		if err != nil {
			t.Fatal(err)
		}
		err = q.Check(tt.inv)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestAQueueSaysWhichAccountsItCannotUse(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts QueueOptions
		want string
	}{
		{"no name", QueueOptions{Account: connection}, "its name"},
		{"a name without credentials", QueueOptions{Account: "ordersstg", Name: "q"}, "no credentials"},
		{"half a connection string", QueueOptions{Account: "AccountKey=secret;", Name: "q"}, "not a connection string"},
	} {
		_, err := NewQueue(tt.opts)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	q, err := NewQueue(QueueOptions{Account: connection, Name: "orders"})
	if err != nil || q.Address() != "http://127.0.0.1:1/a/orders" {
		t.Errorf("the address is %s, %v", q.Address(), err)
	}
}
