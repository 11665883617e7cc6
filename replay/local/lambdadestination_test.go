package local

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestTheDestinationHearsWhatBecameOfAsynchronousInvocations(t *testing.T) {
	records := make(chan []byte, 1)
	var wanted context.Context
	l := newLambda(t, LambdaOptions{
		Functions: []LambdaFunction{{Name: "f"}, {Name: "f:live"}},
		Destination: func(ctx context.Context, record []byte) error {
			wanted = ctx
			records <- record
			return nil
		},
	})
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
	for _, tt := range []struct {
		name, qualifier string
		event           []byte
		want            destinationRecord
	}{
		{"it returns", "", []byte(`{"n":1.0}`), destinationRecord{
			RequestContext:  requestRecord{FunctionARN: arn + ":$LATEST", Condition: "Success", Attempts: 1},
			ResponsePayload: json.RawMessage(`{"n":1.0}`),
		}},
		{"it returns nothing", "", do("log", "x", 1), destinationRecord{
			RequestContext:  requestRecord{FunctionARN: arn + ":$LATEST", Condition: "Success", Attempts: 1},
			ResponsePayload: json.RawMessage(`null`),
		}},
		{"it fails each time", "live", do("fail", "no", 0), destinationRecord{
			RequestContext:  requestRecord{FunctionARN: arn + ":live", Condition: "RetriesExhausted", Attempts: 3},
			ResponseContext: responseRecord{FunctionError: "Unhandled"},
			ResponsePayload: json.RawMessage(`{"errorMessage":"no","errorType":"errorString"}`),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := l.RunLater(LambdaRequest{Function: "f", Qualifier: tt.qualifier, Payload: tt.event})
			if err != nil {
				t.Fatal(err)
			}
			var got destinationRecord
			if err := json.Unmarshal(<-records, &got); err != nil {
				t.Fatal(err)
			}
			tt.want.Version, tt.want.RequestPayload, tt.want.RequestContext.RequestID = "1.0", tt.event, id
			tt.want.ResponseContext.StatusCode, tt.want.ResponseContext.ExecutedVersion = 200, "$LATEST"
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(destinationRecord{}, "Timestamp")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	if err := l.Close(); err != nil || wanted.Err() == nil {
		t.Errorf("a destination is waited for after Close: %v", err)
	}
}

func TestARecordThatCannotBeSentIsLogged(t *testing.T) {
	var log syncBuffer
	failed := make(chan struct{})
	l := newLambda(t, LambdaOptions{
		Functions: []LambdaFunction{{Name: "f"}}, Log: &log,
		Destination: func(context.Context, []byte) error {
			defer close(failed)
			return errors.New("no such queue")
		},
	})
	id, err := l.RunLater(LambdaRequest{Function: "f"})
	if err != nil {
		t.Fatal(err)
	}
	<-failed
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if want := "destination of f, request " + id + ": no such queue\n"; !strings.Contains(log.String(), want) {
		t.Errorf("no %q in the log:\n%s", want, log.String())
	}
}
