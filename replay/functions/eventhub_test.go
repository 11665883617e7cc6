package functions

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/replay/completion"
)

// Who owns targets closes those that are closers.
var _ io.Closer = (*EventHub)(nil)

// kinesis is an event of one shard with these partition keys and data; sequence numbers count from 1.
func kinesis(pairs ...[2]string) *capture.Invocation {
	var records []string
	for i, p := range pairs {
		records = append(records, fmt.Sprintf(`{"eventSource":"aws:kinesis","eventID":"shardId-0:%d","kinesis":`+
			`{"partitionKey":%[2]q,"sequenceNumber":"%[1]d","data":%[3]q}}`, i+1, p[0],
			base64.StdEncoding.EncodeToString([]byte(p[1]))))
	}
	return invocationOf(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

const someHub = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=hush"

func TestWhatAnEventHubCannotCarryIsToldBeforehand(t *testing.T) {
	record := func(doc string) *capture.Invocation {
		return invocationOf(`{"Records":[{"eventSource":"aws:kinesis","kinesis":` + doc + `}]}`)
	}
	for _, tt := range []struct {
		name string
		inv  *capture.Invocation
		want string // "" when it can be sent
	}{
		{"two records", kinesis([2]string{"k", "a"}, [2]string{"k", ""}), ""},
		{"the largest record", kinesis([2]string{"k", strings.Repeat("x", maxHubEvent-hubEventRoom)}), ""},
		{"more than that", kinesis([2]string{"k", strings.Repeat("x", maxHubEvent-hubEventRoom+1)}), "over the 1048576"},
		{"the longest key", kinesis([2]string{strings.Repeat("é", maxHubKey), "a"}), ""},
		{"a longer key", kinesis([2]string{strings.Repeat("k", maxHubKey+1), "a"}), "partition key of 129 characters"},
		{"no key", kinesis([2]string{"", "a"}), "partition key of 0 characters"},
		{"aggregated records", kinesis([2]string{"k", "\xf3\x89\x9a\xc2\x0a"}), "Kinesis Producer Library"},
		{"what only begins like them", kinesis([2]string{"k", "\xf3\x89\x9a"}), ""},
		{"no sequence number", record(`{"partitionKey":"k"}`), "record 0 has no sequenceNumber"},
		{"data that are not base64", record(`{"partitionKey":"k","sequenceNumber":"1","data":"%"}`), "data is not base64"},
		{"a record twice", invocationOf(strings.ReplaceAll(string(kinesis([2]string{"k", "a"}, [2]string{"k", "b"}).Event),
			`"sequenceNumber":"2"`, `"sequenceNumber":"1"`)), "record 1 is in the event twice"},
		{"no records", &capture.Invocation{Format: capture.FormatKinesis, Event: []byte(`{"Records":[]}`)}, "no records"},
		{"a DynamoDB stream", invocationOf(string(fixture(t, "dynamodb.json"))), "change feed of Cosmos DB"},
		{"a queue's message", invocationOf(string(fixture(t, "sqs.json"))), "not events of the format sqs"},
		{"a real one", invocationOf(string(fixture(t, "kinesis.json"))), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := NewEventHub(EventHubOptions{Connection: someHub, Name: "clicks", Board: completion.NewBoard()})
			if err != nil {
				t.Fatal(err)
			}
			err = h.Check(tt.inv)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if tt.want == "" {
				return
			}
			if out, err := h.Fire(t.Context(), tt.inv); err != nil || out.Status != capture.StatusUnreplayable {
				t.Errorf("Fire says %+v, %v", out, err)
			}
		})
	}
}

func TestAnEventHubIsNamedOnceAndItsKeyNotTold(t *testing.T) {
	board := completion.NewBoard()
	for _, tt := range []struct {
		name string
		opts EventHubOptions
		want string // the address, or what is in the error
		ok   bool
	}{
		{"by name", EventHubOptions{Connection: someHub, Name: "clicks", Board: board},
			"sb://ns.servicebus.windows.net/clicks", true},
		{"by the connection string", EventHubOptions{Connection: someHub + ";EntityPath=clicks", Board: board},
			"sb://ns.servicebus.windows.net/clicks", true},
		{"by both", EventHubOptions{Connection: "entitypath=clicks;" + someHub, Name: "clicks", Board: board},
			"sb://ns.servicebus.windows.net/clicks", true},
		{"by both, and not alike", EventHubOptions{Connection: someHub + ";EntityPath=other", Name: "clicks", Board: board},
			"it is of the event hub other, and name is clicks", false},
		{"not at all", EventHubOptions{Connection: someHub, Board: board}, "needs its namespace and the hub's name", false},
		{"with something else", EventHubOptions{Connection: "hush", Name: "clicks", Board: board},
			"not a connection string", false},
		{"without credentials", EventHubOptions{Namespace: "ns", Name: "clicks", Board: board}, "no credentials", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := NewEventHub(tt.opts)
			got := fmt.Sprint(err)
			if err == nil {
				got = h.Address()
			}
			if (err == nil) != tt.ok || !strings.Contains(got, tt.want) || strings.Contains(got, "hush") {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRecordsOfAKeyStayTogetherInTheirOrder(t *testing.T) {
	records, err := parseKinesis(kinesis([2]string{"b", "1"}, [2]string{"a", "2"}, [2]string{"b", "3"}, [2]string{"a", "4"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, group := range byKey(records) {
		for _, r := range group {
			got = append(got, r.Kinesis.PartitionKey+string(r.data))
		}
	}
	if !slices.Equal(got, []string{"b1", "b3", "a2", "a4"}) {
		t.Errorf("got %q", got)
	}
}

func TestOnlyAttachIsTakenForAttach(t *testing.T) {
	attach := []byte{0, 0, 0, 12, 2, 0, 0, 0, 0x00, 0x53, 0x12, 0xc0}
	for name, tt := range map[string]struct {
		frame []byte
		want  bool
	}{
		"attach": {attach, true},
		"attach behind an extended header": {
			append([]byte{0, 0, 0, 16, 3, 0, 0, 0, 9, 9, 9, 9}, attach[8:]...), true},
		"a transfer":            {[]byte{0, 0, 0, 12, 2, 0, 0, 0, 0x00, 0x53, 0x14, 0xc0}, false},
		"a keep-alive":          {[]byte{0, 0, 0, 8, 2, 0, 0, 0}, false},
		"a protocol header":     {[]byte("AMQP\x00\x01\x00\x00"), false},
		"a body beyond the end": {[]byte{0, 0, 0, 8, 255, 0, 0, 0}, false},
		"nothing":               {nil, false},
	} {
		if got := isAttach(tt.frame); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzKinesis(f *testing.F) {
	f.Add([]byte(kinesis([2]string{"k", "a"}, [2]string{"l", "b"}).Event))
	f.Add([]byte(`{"Records":[null,{"kinesis":{"data":"====","sequenceNumber":"1","partitionKey":"\u0000"}}]}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		records, err := parseKinesis(&capture.Invocation{Format: capture.FormatKinesis, Event: event})
		if err != nil {
			return
		}
		n := 0
		for _, group := range byKey(records) {
			for _, r := range group {
				n++
				if r.Kinesis.PartitionKey != group[0].Kinesis.PartitionKey || len(r.data) > maxHubEvent {
					t.Fatalf("%q has the record %+v", event, r)
				}
			}
		}
		var doc struct{ Records []json.RawMessage }
		if json.Unmarshal(event, &doc) != nil || n != len(doc.Records) {
			t.Fatalf("%q has %d records, not %d", event, len(doc.Records), n)
		}
	})
}
