package replay

import (
	"fmt"
	"reflect"
	"testing"
)

// linesOfAllKinds are such that each has what others do not have. Those from trials on are none.
func linesOfAllKinds() (lines []string, trials int) {
	answer := func(body string) string { return `{"status":"ok","http":{"status":201,"body":` + body + `}}` }
	effect := `{"kind":"object.put","resource":"r","key":"k","body":{"json":{"a":{"b":[1,2]},"c":1}},"attributes":{"x":"y"}}`
	everything := `{"status":"ok","http":{"status":404,"headers":{"a":["b"]},"cookies":[{"name":"s","value":"x"}],` +
		`"body":{"json":{"a":{"b":[1,2]},"c":1}}},"result":{"json":{"d":[1,2,3],"e":2}},"records":{"m":"acked"},"error":{"message":"no"},` +
		`"tries":[{"status":"throttled","waitMs":1}],"durationMs":1,"platformMs":2,"initMs":3,"billedMs":4,"memoryMb":5,"attempts":6,` +
		`"effects":[` + effect + `,` + effect + `,` + effect + `]}`
	of := func(outcomes string) string { return `{"invocation":"j","function":"g","outcomes":{` + outcomes + `}}` }
	lines = []string{
		`{"n":3,"invocation":"i","repeat":2,"function":"f","trigger":"sqs","format":"x","shape":"s","lane":"l","time":"2026-01-01T00:00:00Z",` +
			`"due":"2026-01-02T00:00:00Z","outcomes":{"lambda":` + everything + `,"functions":` + everything + `,"recording":` + everything + `}}`,
		of(`"lambda":{"status":"ok"},"functions":{"status":"ok"}`),
		of(`"functions":{"status":"ok","http":{},"effects":null},"lambda":{"status":"timeout","http":null,"effects":[]}`),
		of(`"lambda":{"status":"ok","effects":[{},{"body":null}]},"functions":{"status":"ok","effects":[{"body":{"json":{}}},{"body":{"json":{"z":[]}}}]}`),
		of(`"lambda":` + answer(`{"json":{"a":{"b":[1,2]},"c":1}}`) + `,"same":` + answer(`{"json":{"a":{"b":[1,2]},"c":1}}`) +
			`,"almost":` + answer(`{"json":{"a":{"b":[1,2]},"d":1}}`) + `,"longer":` + answer(`{"json":{"a":{"b":[1,2]},"c":12,"id":{}}}`) +
			`,"none":` + answer(`{"json":{}}`)),
		of(`"lambda":` + answer(`{"json":[{"a":1},2]}`) + `,"functions":` + answer(`{"json":[{"a":1},2]}`)),
		of(`"lambda":` + answer(`{"json":{}}`) + `,"functions":` + answer(`{"json":{}}`)),
		of(`"lambda":` + answer(`{"json":1}`) + `,"functions":` + answer(`{"json":1.5}`) + `,"longer":` + answer(`{"json":15}`)),
		of(`"lambda":` + answer(`{"text":"a"}`) + `,"functions":` + answer(`{"json":"a"}`) + `,"bytes":` + answer(`{"base64":"AAE="}`)),
	}
	return append(lines,
		`{"function":"f","outcomes":{"lambda":{"status":"ok"}}}`,
		`{"invocation":"i","outcomes":{"lambda":{"status":"ok"}}}`,
		`{"invocation":"i","function":"f"}`,
		of(`"lambda":{},"functions":{"status":"ok"}`),
		of(`"lambda":{"status":"ok"},"lambda":{"status":"ok"}`),
		`{"n":1,"invocation":"i","function":"f","outcomes":{"lambda":{"status":"ok","result":{"json":{"a":1,`,
		`no trial`,
	), len(lines)
}

// The memory of lines is used again, and what two outcomes share is read once.
func TestATrialIsReadAlikeBehindAndBesideOthers(t *testing.T) {
	lines, trials := linesOfAllKinds()
	for _, former := range lines {
		for i, line := range lines {
			text, alone := NewTrialText(), NewTrialText()
			for _, before := range []string{former, lines[0], former} {
				if text.Read([]byte(before)) {
					text.Facts()
				}
			}
			ok, want := text.Read([]byte(line)), i < trials
			if ok != want {
				t.Fatalf("behind %s\nthe line %s\nis read: %v, want %v", former, line, ok, want)
			}
			if !ok {
				continue
			}
			alone.Read([]byte(line))
			if got, want := text.Facts(), alone.Facts(); !reflect.DeepEqual(got, want) {
				t.Fatalf("behind %s\nthe line %s\nis read as %+v, want %+v", former, line, got, want)
			}
			if len(text.Outcomes) != len(alone.Outcomes) {
				t.Fatalf("behind %s\nthe line %s\nhas %d outcomes, want %d", former, line, len(text.Outcomes), len(alone.Outcomes))
			}
			for _, o := range text.Outcomes {
				single := `{"invocation":"i","function":"f","outcomes":{"` + o.Name + `":` + string(o.Raw) + `}}`
				if !alone.Read([]byte(single)) {
					t.Fatalf("the line %s\nhas an outcome that cannot be read: %s", line, o.Raw)
				}
				got, want := fmt.Sprintf("%+v", o.OutcomeText), fmt.Sprintf("%+v", alone.Outcomes[0].OutcomeText) // nil is as good as empty
				if got != want {
					t.Fatalf("behind %s\nthe outcome %s\nof %s\nis read as\n%s\nwant\n%s", former, o.Raw, line, got, want)
				}
			}
		}
	}
}
