package capture

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
)

// checkAppend checks that o is written as encoding/json writes it, which cannot know of AppendJSON.
func checkAppend(t *testing.T, o *Outcome) {
	t.Helper()
	want, werr := json.Marshal(o)
	got, err := o.AppendJSON([]byte("x"))
	if (err == nil) != (werr == nil) {
		t.Fatalf("error %v, encoding/json's is %v", err, werr)
	}
	if err == nil && !bytes.Equal(got, append([]byte("x"), want...)) {
		t.Fatalf("got  %s\nwant x%s", got, want)
	}
}

func TestOutcomesAreWrittenAsEncodingJSONDoes(t *testing.T) {
	text, odd := "text", "<a>\u2028\xff\""
	tests := []struct {
		name string
		o    Outcome
	}{
		{"nothing", Outcome{}},
		{"watched", Outcome{Status: StatusOK, Effects: []Effect{}}},
		{"effects", Outcome{Status: StatusOK, Effects: []Effect{{Kind: ObjectPut, Resource: "s3://b", Key: "<k>"}}}},
		{"all that is measured", Outcome{DurationMS: 12.25, PlatformMS: 1e-9, InitMS: 1e22, BilledMS: 100, MemoryMB: -0.5, Attempts: 3}},
		{"what JSON has no number for", Outcome{DurationMS: math.NaN()}},
		{"nor for that", Outcome{DurationMS: math.Inf(1)}},
		{"tries, fates and an error", Outcome{
			Tries: []Try{{Status: StatusThrottled, WaitMS: 3}}, Records: map[string]Fate{"b": Acked, "a": Retried},
			Error: &Error{Type: "T", Message: odd},
		}},
		{"an answer", Outcome{HTTP: &HTTPAnswer{
			Status: 201, Headers: map[string][]string{"b": {"1", odd}, "a": {}, "c": nil, odd: {"x"}},
			Cookies: []Cookie{{Name: "s", Value: "<"}}, Body: &Body{JSON: json.RawMessage(`{"a b":[1.0,"\"c d\" \\"]}`)},
		}}},
		{"JSON with white space", Outcome{Result: &Body{JSON: json.RawMessage("{ \"a\":\n1}")}}},
		{"JSON to escape", Outcome{Result: &Body{JSON: json.RawMessage("[\"<&>\",\"\u2028\",\"\u20ac\"]")}}},
		{"text", Outcome{Result: &Body{Text: &text}}},
		{"bytes", Outcome{Result: &Body{Base64: []byte{0, 255}}}},
		{"an empty body", Outcome{Result: &Body{}}},
		{"a body of two kinds", Outcome{Result: &Body{Text: &odd, JSON: json.RawMessage("1")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkAppend(t, &tt.o) })
	}
}

func FuzzOutcomeAppendJSON(f *testing.F) {
	f.Add([]byte(`{"status":"ok","http":{"status":201,"headers":{"a":["b"]},"cookies":[{"name":"s","value":"x"}],` +
		`"body":{"json":{"a": 1.0,"b":"<\u2028\\\""}}},"durationMs":0.0000001,"tries":[{"status":"throttled"}],"effects":[]}`))
	f.Add([]byte(`{"result":{"text":"\ud800"},"records":{"m":"acked"},"error":{},"memoryMb":1e300,"attempts":-1}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var o Outcome
		if json.Unmarshal(doc, &o) == nil {
			checkAppend(t, &o)
		}
	})
}
