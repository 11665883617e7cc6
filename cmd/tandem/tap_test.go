package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"tandem/capture"
	"tandem/capture/drain"
	"tandem/capture/redact"
	"tandem/capture/sqstap"
)

// A message that comes again after a kill is recognised by its ID, which a rule may have replaced.
func TestATapIsNotGoneOnWithWhereMessageIDsWereReplaced(t *testing.T) {
	for _, test := range []struct {
		name    string
		rules   []redact.Rule
		refused bool
	}{
		{"no rule", nil, false},
		{"a rule for something else", []redact.Rule{{Form: redact.Email}}, false},
		{"a rule by its name", []redact.Rule{{Name: "messageId"}}, true},
		{"a rule for all records", []redact.Rule{{At: "/event/Records"}}, true},
		{"one that keeps it", []redact.Rule{{At: "/event/Records"}, {At: "/event/Records/*/messageId", Keep: true}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			redactor, err := redact.New(redact.Options{Rules: test.rules})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "x.rec")
			w, err := capture.Create(path, capture.CreateOptions{Redactor: redactor})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			const id = "059f36b4-87a3-44ab-83d2-661975830a7d"
			err = w.Write(&capture.Invocation{
				Function: "f", Trigger: capture.TriggerSQS, Format: capture.FormatSQS,
				Event: []byte(`{"Records":[{"messageId":"` + id + `","eventSource":"aws:sqs"}]}`),
			})
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			known := new(drain.IDs)
			defer known.Close()
			a := &app{stderr: io.Discard}
			err = a.knowRecorded(t.Context(), known, recordingFlags{out: path, append: true}, identityFlags{},
				sqstap.MessageIDs)
			if test.refused != (err != nil) || test.refused && !strings.Contains(err.Error(), "keep: true") {
				t.Errorf("got %v", err)
			}
			if found, err := known.Has(id); err != nil || found == test.refused {
				t.Errorf("the message is known: %v, %v", found, err)
			}
		})
	}
}
