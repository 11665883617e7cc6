package replay

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/capture"
)

func TestTrialRoundTrip(t *testing.T) {
	trial := &Trial{
		N: 0, Invocation: "01K", Function: "create-order", Trigger: capture.TriggerHTTP,
		Format: capture.FormatAPIGatewayV2, Shape: "3fa9", Time: time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC),
		Outcomes: map[string]*capture.Outcome{
			"lambda":    {Status: capture.StatusOK, Effects: []capture.Effect{}},
			"functions": {Status: capture.StatusFunctionError, Error: &capture.Error{Message: "no"}},
		},
	}
	line, err := trial.AppendJSON([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	want := `x{"n":0,"invocation":"01K","function":"create-order","trigger":"http","format":"apigw-v2","shape":"3fa9",` +
		`"lane":"","time":"2026-11-23T04:00:00Z","outcomes":{"functions":{"status":"function_error",` +
		`"error":{"message":"no"},"effects":null},"lambda":{"status":"ok","effects":[]}}}`
	if string(line) != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	back, err := ParseTrial(line[1:])
	if err != nil || !reflect.DeepEqual(back, trial) {
		t.Errorf("came back as %+v, %v", back, err)
	}
}

func TestParseTrialSaysWhatIsWrong(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"no JSON", `{"invocation"`, "unexpected end"},
		{"no invocation", `{"function":"f","outcomes":{"lambda":{"status":"ok"}}}`, `no "invocation"`},
		{"no function", `{"invocation":"i","outcomes":{"lambda":{"status":"ok"}}}`, `no "function"`},
		{"no outcomes", `{"invocation":"i","function":"f"}`, `no "outcomes"`},
		{"an outcome without status", `{"invocation":"i","function":"f","outcomes":{"lambda":{}}}`, `"lambda" has no "status"`},
		{"an outcome that is null", `{"invocation":"i","function":"f","outcomes":{"lambda":null}}`, `"lambda" has no "status"`},
		{"a repeat that is none", `{"repeat":-1,"invocation":"i","function":"f","outcomes":{"a":{"status":"ok"}}}`, `"repeat" is -1`},
		{"a position that is none", `{"n":-1,"invocation":"i","function":"f","outcomes":{"a":{"status":"ok"}}}`, `"n" is -1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseTrial([]byte(tt.line))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestTrialsFromElsewhereHaveNoPosition(t *testing.T) {
	trial, err := ParseTrial([]byte(`{"invocation":"i","function":"f","outcomes":{"a":{"status":"ok"}}}`))
	if err != nil || trial.N != -1 {
		t.Errorf("got %+v, %v", trial, err)
	}
}

// marshalTrial is what encoding/json makes of a trial.
func marshalTrial(t *Trial) ([]byte, error) {
	line := trialLine{
		Invocation: t.Invocation, Repeat: t.Repeat, Function: t.Function, Trigger: t.Trigger, Format: t.Format,
		Shape: t.Shape, Lane: t.Lane, Time: t.Time, Due: t.Due, Outcomes: t.Outcomes,
	}
	if t.N >= 0 {
		line.N = &t.N
	}
	return json.Marshal(&line)
}

func FuzzParseTrial(f *testing.F) {
	f.Add([]byte(`{"n":3,"invocation":"i","function":"f","lane":"s3:b/k","outcomes":{"a":{"status":"ok","effects":[]}}}`))
	f.Add([]byte(`{"invocation":"i","function":"f","time":"2026-01-01T00:00:00Z","outcomes":{"a":{"status":"ok",` +
		`"http":{"status":201,"headers":{"a":["b"]},"cookies":[{"name":"s","value":"x"}],"body":{"json":1.0}}}}}`))
	f.Add([]byte(`{"n":0,"invocation":"i","repeat":2,"function":"f","due":"2026-01-01T00:00:00Z","outcomes":{"<":{"status":"ok",` +
		`"tries":[{"status":"throttled","waitMs":1}]},"a#2":{"status":"ok"}}}`))
	f.Add([]byte(`{"invocation":"i","function":"f","outcomes":{"a":{"status":"timeout","records":{"m":"acked"},"result":{"json":[1]},` +
		`"effects":[{"kind":"object.put","resource":"r","key":"\u00e9\ud800","body":{"json":[1]},"attributes":{"x":"\""}}]},` +
		`"b":{"status":"ok","result":{"json":[1]},"error":null,"effects":null}}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		trial, err := ParseTrial(line)
		if obvious, oerr := unmarshalTrial(line); (err == nil) != (oerr == nil) || err == nil && !reflect.DeepEqual(trial, obvious) {
			t.Fatalf("%s is read as %+v, %v, and by encoding/json as %+v, %v", line, trial, err, obvious, oerr)
		}
		var text TrialText
		plain := text.Read(line)
		for i := range text.Outcomes {
			plain = plain && text.Outcomes[i].IsPlain()
		}
		if plain && err != nil {
			t.Fatalf("%s is said to be a plain trial: %v", line, err)
		}
		if err != nil {
			return
		}
		once, err := trial.AppendJSON(nil)
		want, werr := marshalTrial(trial)
		if (err == nil) != (werr == nil) || err == nil && !bytes.Equal(once, want) {
			t.Fatalf("got  %s, %v\nwant %s, %v", once, err, want, werr)
		}
		if err != nil {
			return // a time or a raw value that JSON cannot hold
		}
		again, err := ParseTrial(once)
		if err != nil {
			t.Fatalf("%s does not parse: %v", once, err)
		}
		twice, err := again.AppendJSON(nil)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
	})
}
