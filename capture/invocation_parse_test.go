package capture

import (
	"encoding/json"
	"reflect"
	"testing"
)

// checkParseLine checks that what parseLine takes, it takes as encoding/json does.
func checkParseLine(t *testing.T, line []byte) (ok bool) {
	t.Helper()
	got, ok := parseLine(line)
	if !ok {
		return false
	}
	var want invocationLine
	if err := json.Unmarshal(line, &want); err != nil {
		t.Fatalf("%s is taken, and encoding/json says %v", line, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\nis    %+v\nwant  %+v", line, got, want)
	}
	return true
}

func TestLinesAreReadAsEncodingJSONReadsThem(t *testing.T) {
	tests := []struct {
		name, line string
		fast       bool
	}{
		{"as they are written", `{"id":"i","function":"f","trigger":"http","format":"alb","source":"http",` +
			`"time":"2026-01-02T03:04:05.678Z","context":{},"event":{"a":[1,{"b":"]}\\\""}],"c":null}}`, true},
		{"with all there is", `{"id":"i","function":"f","time":"2026-01-02T03:04:05+01:00","context":{"requestId":"r","timeoutMs":3},` +
			`"outcome":{"status":"ok","effects":[]},"objects":[{"bucket":"b","key":"k","size":1,"sha256":"x"}],"event":{}}`, true},
		{"with white space", " { \"id\" :\t\"i\" , \"event\" :\r\n[ 1 , 2 ] } ", true},
		{"an event that is a number", `{"event":12,"id":"i"}`, true},
		{"and at the end", `{"id":"i","event":-1.5e3 }`, true},
		{"no outcome", `{"id":"i","outcome":null,"objects":null,"event":true}`, true},
		{"an empty object", `{}`, false},
		{"an escaped name", `{"\u0069d":"i"}`, false},
		{"more behind", `{"id":"i"}{}`, false},
		{"a comma at the end", `{"id":"i",}`, false},
		{"an escape", `{"id":"\u0069"}`, false},
		{"another member", `{"id":"i","more":1}`, false},
		{"another case", `{"ID":"i"}`, false},
		{"a member twice", `{"id":"i","id":"j"}`, false},
		{"bytes of its own", `{"id":"i","eventBase64":"e30=","event":{}}`, false},
		{"a wrong type", `{"id":1}`, false},
		{"no time", `{"time":null}`, false},
		{"not an object", `[]`, false},
		{"not JSON", `{"id":"i"`, false},
		{"not UTF-8", "{\"id\":\"\xff\"}", false},
		{"nothing", ``, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if fast := checkParseLine(t, []byte(tt.line)); fast != tt.fast {
				t.Errorf("it is taken: %v, want %v", fast, tt.fast)
			}
		})
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"id":"i","function":"f","trigger":"sqs","time":"2026-01-02T03:04:05Z","context":{},"event":{"a":[1,"\""]}}`))
	f.Add([]byte("\n{ \"id\" : \"é\",\r\n\"objects\":[{}] , \"event\": nul}"))
	f.Fuzz(func(t *testing.T, line []byte) { checkParseLine(t, line) })
}
