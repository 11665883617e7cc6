package capture

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A body stands some levels deep in a line of a run, which has to be readable.
func TestBodiesAreNotNestedTooDeepForTheirLines(t *testing.T) {
	for _, depth := range []int{9_900, 9_901, 10_000} {
		content := strings.Repeat("[", depth) + `"\"[]"` + strings.Repeat("]", depth)
		body := NewBody("application/json", []byte(content))
		if isJSON := body.JSON != nil; isJSON != (depth <= 9_900) || string(body.Bytes()) != content {
			t.Errorf("%d deep: JSON %v", depth, isJSON)
		}
		line, err := json.Marshal(Outcome{Status: StatusOK, Effects: []Effect{{Body: body}}})
		if err != nil || !json.Valid(line) {
			t.Errorf("%d deep: a line with it is not readable: %v", depth, err)
		}
	}
}

// JSON has no way to write bytes that are no UTF-8, and headers in Latin-1 may differ in these alone.
func TestHeadersThatAreNotUTF8KeepTheirBytes(t *testing.T) {
	of := func(name string) string {
		a := NewHTTPAnswer(200, http.Header{
			"Content-Disposition": {"filename=" + name}, "X-Two": {name, "é"}, "Set-Cookie": {"s=" + name + "; Path=/"},
		}, nil)
		line, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return string(line)
	}
	want := `{"status":200,"headers":{"content-disposition":["filename=Gr\\xfc\\xdfe"],"x-two":["Gr\\xfc\\xdfe","é"]},` +
		`"cookies":[{"name":"s","value":"Gr\\xfc\\xdfe","attributes":{"path":"/"}}]}`
	if got := of("Gr\xfc\xdfe"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if of("Gr\xfc\xdfe") == of("Gr\xf6\xdfe") {
		t.Error("two names are written alike")
	}
}
