package effects

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"tandem/capture"
)

func TestQueueMessagesAreTheEffectsThatSQSMessagesAre(t *testing.T) {
	tests := []struct {
		name string
		text string
		want capture.Effect
	}{
		{
			"JSON in base64", base64.StdEncoding.EncodeToString([]byte(`{"to": "ü"}`)),
			capture.Effect{Body: jsonBody(`{"to":"ü"}`)},
		},
		{"text in base64", base64.StdEncoding.EncodeToString([]byte("hello")), capture.Effect{Body: text("hello")}},
		{"base64 in lines", "aGVs\r\nbG8=\n", capture.Effect{Body: text("hello")}},
		{
			"not base64", `{"a": "<&>"}`,
			capture.Effect{Body: jsonBody(`{"a":"<&>"}`), Attributes: map[string]string{"encoding": "not base64"}},
		},
		{
			"base64 that is not text", "test",
			capture.Effect{Body: text("test"), Attributes: map[string]string{"encoding": "not base64"}},
		},
		{
			"base64 without padding", "aGVsbG8",
			capture.Effect{Body: text("aGVsbG8"), Attributes: map[string]string{"encoding": "not base64"}},
		},
		{
			"base64 with stray bits", "aGVsbG9=",
			capture.Effect{Body: text("aGVsbG9="), Attributes: map[string]string{"encoding": "not base64"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, p := newWorkingPort(t)
			must(queueClient(t, p, "mail").EnqueueMessage(t.Context(), test.text, nil))(t)
			test.want.Kind, test.want.Resource = capture.MessageSend, "mail-queue"
			wantEffects(t, s, test.want)
		})
	}
}

func TestQueueAnswersAsTheServiceWould(t *testing.T) {
	s, p := newWorkingPort(t)
	c := queueClient(t, p, "fresh")
	must(c.Create(t.Context(), nil))(t)
	sent := must(c.EnqueueMessage(t.Context(), "aGVsbG8=", &azqueue.EnqueueMessageOptions{
		VisibilityTimeout: to.Ptr(int32(60)), TimeToLive: to.Ptr(int32(600)),
	}))(t)
	m := sent.Messages[0]
	if *m.MessageID == "" || m.TimeNextVisible.Sub(*m.InsertionTime) != time.Minute ||
		m.ExpirationTime.Sub(*m.InsertionTime) != 10*time.Minute {
		t.Errorf("answer: %+v", m)
	}
	if got := must(c.DequeueMessage(t.Context(), nil))(t); len(got.Messages) != 0 {
		t.Errorf("received %v", got.Messages)
	}
	if got := must(c.PeekMessage(t.Context(), nil))(t); len(got.Messages) != 0 {
		t.Errorf("peeked at %v", got.Messages)
	}
	must(c.DeleteMessage(t.Context(), *m.MessageID, *m.PopReceipt, nil))(t)
	if got := must(c.GetProperties(t.Context(), nil))(t); *got.ApproximateMessagesCount != 0 {
		t.Errorf("%d messages", *got.ApproximateMessagesCount)
	}
	_, err := c.EnqueueMessage(t.Context(), strings.Repeat("a", maxQueueMessage+1), nil)
	wantAzureCode(t, err, http.StatusRequestEntityTooLarge, "RequestBodyTooLarge")
	_, err = c.ClearMessages(t.Context(), nil)
	wantAzureCode(t, err, http.StatusNotImplemented, "NotImplemented")
	wantEffects(t, s, capture.Effect{
		Kind: capture.MessageSend, Resource: "azqueue://devstoreaccount1/fresh", Body: text("hello"),
		Attributes: map[string]string{"delay-seconds": "60"},
	})
}
