package local

import (
	"net/http"
	"strings"
	"testing"

	"tandem/capture/customhandler"
)

func TestAdminInvokeAnswersBeforeTheFunctionRuns(t *testing.T) {
	f, url := startApp(t, FunctionsOptions{MasterKey: "mk", FunctionKey: "fk",
		App: writeApp(t, payloads, map[string]string{"queue": queueFunction})})
	tests := []struct {
		name, function, key, body string
		want                      int
	}{
		{"a message", "queue", "mk", `{"input":"by hand"}`, 202},
		{"one that fails", "queue", "mk", `{"input":"fail"}`, 202},
		{"no input is an empty one", "queue", "mk", `{}`, 202},
		{"null", "queue", "mk", `null`, 400},
		{"nothing", "queue", "mk", ``, 400},
		{"not JSON", "queue", "mk", `x`, 400},
		{"unknown function", "other", "mk", `{"input":""}`, 404},
		{"the function key is not enough", "queue", "fk", `{"input":""}`, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := send(t, "POST", url+"/admin/functions/"+tt.function, tt.body, "x-functions-key: "+tt.key)
			if resp.StatusCode != tt.want || body != "" {
				t.Errorf("got %d %q, want %d", resp.StatusCode, body, tt.want)
			}
		})
	}
	log := closedLog(t, f)
	for _, want := range []string{
		`queue got "by hand"`, `queue got "fail"`, "the handler answered 500", "Executed 'Functions.queue' (Failed",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("Close did not wait for %q:\n%s", want, log)
		}
	}
	resp, _ := send(t, "POST", url+"/admin/functions/queue", `{"input":""}`, "x-functions-key: mk")
	if resp.StatusCode != 429 {
		t.Errorf("after Close: got %d", resp.StatusCode)
	}
}

func TestClientSpeaksToHandlerThroughHost(t *testing.T) {
	_, url := startApp(t, FunctionsOptions{App: writeApp(t, payloads, map[string]string{
		"queue": queueFunction, "die": queueFunction, "untyped": queueFunction,
	})})
	c := customhandler.Client{URL: url + "/tandem/handler"}
	message := func(text string) *customhandler.Request {
		return customhandler.QueueTrigger{Body: []byte(text)}.Request("message", customhandler.Sys{})
	}
	resp, status, err := c.Call(t.Context(), "queue", "id", nil, message("ok"))
	if err != nil || status != 200 || resp == nil {
		t.Errorf("success: got %v, %d, %v", resp, status, err)
	}
	resp, status, err = c.Call(t.Context(), "queue", "id", nil, message("fail"))
	if err != nil || status != 500 || resp != nil {
		t.Errorf("failure: got %v, %d, %v", resp, status, err)
	}
	_, status, err = c.Call(t.Context(), "die", "id", nil, message(""))
	if err != nil || status != http.StatusBadGateway {
		t.Errorf("death: got %d, %v", status, err)
	}
	if _, _, err := c.Call(t.Context(), "untyped", "id", nil, message("")); err == nil ||
		!strings.Contains(err.Error(), "Content-Type") {
		t.Errorf("answer without its media type: got %v", err)
	}
	if _, _, err := c.Call(t.Context(), "other", "id", nil, message("")); err == nil ||
		!strings.Contains(err.Error(), `no function "other"`) {
		t.Errorf("unknown function: got %v", err)
	}
}
