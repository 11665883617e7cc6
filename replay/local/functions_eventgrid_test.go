package local

import (
	"net/http"
	"strings"
	"testing"
)

func eventGridFunction(extra string) string {
	return `{"bindings":[{"type":"eventGridTrigger","direction":"in","name":"event"` + extra + `}]}`
}

func TestTheEventGridWebhookAnswersAsTheExtensionDoes(t *testing.T) {
	dir := writeApp(t, payloads, map[string]string{
		"events": eventGridFunction(""), "fails": eventGridFunction(""), "queue": queueFunction,
		"die": eventGridFunction(`,"cardinality":"many"`),
	})
	_, url := startApp(t, FunctionsOptions{App: dir, MasterKey: "m", FunctionKey: "f"})
	const notification, validation = "aeg-event-type: Notification", "aeg-event-type: SubscriptionValidation"
	for _, tt := range []struct {
		name, method, query, body string
		header                    []string
		status                    int
		answer                    string // in the body
	}{
		{"an event", "POST", "functionName=events&code=m", `[{"id":"1"}]`, []string{notification}, 202, ""},
		{"an event alone, with the key in a header", "POST", "functionName=events", `{"specversion":"1.0","id":"1"}`,
			[]string{notification, "x-functions-key: m"}, 202, ""},
		{"a function that fails", "POST", "functionName=fails&code=m", `[{"id":"1"}]`, []string{notification}, 500,
			"the handler answered 500"},
		{"one of several that fails", "POST", "functionName=events&code=m", `[{"id":"1"},{"id":"fail"}]`,
			[]string{notification}, 500, "the handler answered 500"},
		{"a handler that dies", "POST", "functionName=die&code=m", `[{"id":"1"}]`, []string{notification}, 500, "EOF"},
		{"no key", "POST", "functionName=events", `[]`, []string{notification}, 401, ""},
		{"the key of functions", "POST", "functionName=events&code=f", `[]`, []string{notification}, 401, ""},
		{"no such function", "POST", "functionName=none&code=m", `[]`, []string{notification}, 404,
			"cannot find function: 'none'"},
		{"its name in another case", "POST", "functionName=EVENTS&code=m", `[]`, []string{notification}, 404, "EVENTS"},
		{"a function with another trigger", "POST", "functionName=queue&code=m", `[]`, []string{notification}, 404, "queue"},
		{"a request that does not say what it is", "POST", "functionName=events&code=m", `[{"id":"1"}]`, nil, 400, ""},
		{"a body that is not JSON", "POST", "functionName=events&code=m", `[{`, []string{notification}, 500, ""},
		{"a body that is no event", "POST", "functionName=events&code=m", `"x"`, []string{notification}, 500, ""},
		{"a subscription", "POST", "functionName=events&code=m", `[{"data":{"validationCode":"512d"}}]`,
			[]string{validation}, 200, `{"validationResponse":"512d"}`},
		{"a subscription without a code", "POST", "functionName=events&code=m", `[{}]`, []string{validation}, 500, ""},
		{"the end of one", "POST", "functionName=events&code=m", ``, []string{"aeg-event-type: Unsubscribe"}, 202, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := send(t, tt.method, url+"/runtime/webhooks/EventGrid?"+tt.query, tt.body, tt.header...)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.answer) {
				t.Errorf("got %d %q, want %d and %q", resp.StatusCode, body, tt.status, tt.answer)
			}
		})
	}
	for asked, allowed := range map[string]string{
		"eventgrid.azure.cn": "eventgrid.azure.cn", "example.com": "eventgrid.azure.net", "": "eventgrid.azure.net",
	} {
		resp, _ := send(t, http.MethodOptions, url+"/runtime/webhooks/eventgrid?functionName=events&code=m", "",
			"WebHook-Request-Origin: "+asked)
		if got := resp.Header.Get("Webhook-Allowed-Origin"); resp.StatusCode != 200 || got != allowed {
			t.Errorf("for origin %q: %d, %q", asked, resp.StatusCode, got)
		}
	}
	resp, _ := send(t, "POST", url+"/runtime/webhooks/none?code=m", "")
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("an extension that is not there: %d", resp.StatusCode)
	}
}

func TestAFunctionGetsEachEventOrTheWholeList(t *testing.T) {
	for _, tt := range []struct {
		name, cardinality string
		want              []string
	}{
		{"one", "", []string{
			`events got {"Data":{"event":{"id":"a","data":{"n":1.0}}},"Metadata":{"data":{"n":1.0},"sys":`,
			`events got {"Data":{"event":{"id":"b","data":"x"}},"Metadata":{"data":"\"x\"","sys":`,
		}},
		{"many", `,"cardinality":"many"`, []string{
			`events got {"Data":{"event":"[{\"id\":\"a\",\"data\":{\"n\":1.0}},{\"id\":\"b\",\"data\":\"x\"}]"},` +
				`"Metadata":{"data":"[{\"n\":1.0},\"x\"]","sys":`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := writeApp(t, payloads, map[string]string{"events": eventGridFunction(tt.cardinality)})
			f, url := startApp(t, FunctionsOptions{App: dir, MasterKey: "m"})
			resp, body := send(t, "POST", url+"/runtime/webhooks/eventgrid?functionName=events&code=m",
				`[{"id":"a","data":{"n":1.0}},{"id":"b","data":"x"}]`, "aeg-event-type: Notification")
			if resp.StatusCode != http.StatusAccepted {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			log := closedLog(t, f)
			for _, want := range tt.want {
				if !strings.Contains(log, want) {
					t.Errorf("the handler did not get %s", want)
				}
			}
			if n := strings.Count(log, "events got"); n != len(tt.want) {
				t.Errorf("%d calls, want %d", n, len(tt.want))
			}
		})
	}
}

func TestAnEventGridFunctionThatTakesTooLongIsToldSo(t *testing.T) {
	dir := writeApp(t, `},"functionTimeout":"00:00:01"`, map[string]string{"hang": eventGridFunction("")})
	_, url := startApp(t, FunctionsOptions{App: dir, MasterKey: "m"})
	resp, body := send(t, "POST", url+"/runtime/webhooks/eventgrid?functionName=hang&code=m", `{"id":"a"}`,
		"aeg-event-type: Notification")
	if resp.StatusCode != 500 || !strings.HasPrefix(body, "Timeout value of 1s was exceeded by function: Functions.hang") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
