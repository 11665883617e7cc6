package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newLogServer answers FilterLogEvents with one page: the log of two invocations, of which one logged its event. All
// groups but /aws/lambda/f and shared are missing.
func newLogServer(t *testing.T) string {
	t.Helper()
	const event = `{"version":"2.0","rawPath":"/a","requestContext":{"http":{"method":"GET"}}}`
	var page []string
	for i, text := range []string{
		"START RequestId: id-1 Version: $LATEST\n", event, "END RequestId: id-1\n", "REPORT RequestId: id-1\tDuration: 1.50 ms\t\n",
		"START RequestId: id-2 Version: $LATEST\n", "END RequestId: id-2\n", "REPORT RequestId: id-2\tDuration: 1.50 ms\t\n",
	} {
		page = append(page, fmt.Sprintf(`{"eventId":"%d","logStreamName":"s","timestamp":%d,"message":%q}`,
			i, time.Date(2025, 6, 1, 12, 0, i, 0, time.UTC).UnixMilli(), text))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			LogGroupIdentifier string
			StartTime, EndTime int64
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		err := json.NewDecoder(r.Body).Decode(&in)
		switch {
		case err != nil || r.Header.Get("X-Amz-Target") != "Logs_20140328.FilterLogEvents":
			w.WriteHeader(http.StatusInternalServerError)
		case in.LogGroupIdentifier != "/aws/lambda/f" && in.LogGroupIdentifier != "shared":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}`)
		default:
			_, _ = io.WriteString(w, `{"events":[`+strings.Join(page, ",")+`]}`)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestCaptureCloudWatchSaysHowCompleteItIs(t *testing.T) {
	url := newLogServer(t)
	rec := filepath.Join(t.TempDir(), "f.rec")
	args := []string{"capture", "cloudwatch", "--endpoint", url, "--rate", "1000", "--from", "2025-06-01", "--to", "2025-06-02",
		"--function", "f", "-o", rec}
	code, stdout, stderr := call(t, args...)
	if code != 0 || stdout != "" {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	if want := "f: the logs saw 2 invocations from 2025-06-01T00:00:00Z to 2025-06-02T00:00:00Z: 1 recorded, " +
		"1 without an event, 0 still open\n"; !strings.Contains(stderr, want) {
		t.Errorf("stderr %q", stderr)
	}
	if code, _, stderr := call(t, args...); code != 2 || !strings.Contains(stderr, "--append") {
		t.Errorf("a recording that is there: exit code %d, stderr %q", code, stderr)
	}
	code, stdout, stderr = call(t, append(args, "--append", "--json")...)
	var report struct {
		Functions map[string]struct{ Invocations, Events, Missing, Open int }
		Complete  bool
		Requests  int
	}
	if err := json.Unmarshal([]byte(stdout), &report); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v, stderr %q", code, err, stderr)
	}
	if f := report.Functions["f"]; f.Invocations != 2 || f.Events != 1 || f.Missing != 1 || report.Complete || report.Requests != 0 {
		t.Errorf("%+v", report)
	}
	if code, stdout, _ := call(t, "inspect", rec, "--json"); code != 0 || !strings.Contains(stdout, `"invocations": 1,`) {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}

func TestCaptureCloudWatchWithAGroupAndAPattern(t *testing.T) {
	url := newLogServer(t)
	code, stdout, stderr := call(t, "capture", "cloudwatch", "--endpoint", url, "--rate", "1000", "--from", "2025-06-01T12:00:00Z",
		"--to", "2025-06-01T12:01", "--function", "f=shared", "--pattern", `"requestContext":(?P<event>\{.*\})\}`, "-o", "-")
	if code != 0 || !strings.Contains(stdout, `"event":{"http":{"method":"GET"}}`) || !strings.Contains(stderr, "1 recorded") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestCaptureCloudWatchSaysWhatIsWrong(t *testing.T) {
	url := newLogServer(t)
	dir := t.TempDir()
	for _, tc := range []struct {
		why, want string
		args      []string
	}{
		{"a time", `--from: "yesterday" is neither a time`, []string{"--from", "yesterday", "--function", "f"}},
		{"another time", `--to: "-1h"`, []string{"--from", "1h", "--to=-1h", "--function", "f"}},
		{"the order of times", "is not before", []string{"--from", "1h", "--to", "2h", "--function", "f"}},
		{"an expression", "--pattern: ", []string{"--from", "1h", "--function", "f", "--pattern", "("}},
		{"a group of it", "no group named event", []string{"--from", "1h", "--function", "f", "--pattern", "x"}},
		{"a rate", "--rate: ", []string{"--from", "1h", "--function", "f", "--rate", "0"}},
		{"a function twice", "named twice", []string{"--from", "1h", "--function", "f", "--function", "f=g"}},
		{"no function", `required flag(s) "function" not set`, []string{"--from", "1h"}},
		{"a log group", "there is no log group /aws/lambda/g", []string{"--from", "1h", "--function", "g"}},
	} {
		out := filepath.Join(dir, strings.ReplaceAll(tc.why, " ", "-"))
		code, stdout, stderr := call(t, append([]string{"capture", "cloudwatch", "--endpoint", url, "-o", out}, tc.args...)...)
		if code != 2 || !strings.Contains(stderr, tc.want) || stdout != "" {
			t.Errorf("%s: exit code %d, stderr %q, want %q", tc.why, code, stderr, tc.want)
		}
	}
	for _, args := range [][]string{{"-o", "-", "--json"}, {"-o", "a.jsonl", "--append"}} {
		code, _, stderr := call(t, append([]string{"capture", "cloudwatch", "--endpoint", url, "--from", "1h", "--function", "f"}, args...)...)
		if code != 2 {
			t.Errorf("%v: exit code %d, stderr %q", args, code, stderr)
		}
	}
}

func TestMomentsAreTimesOrAges(t *testing.T) {
	now := time.Date(2025, 6, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2025-06-01":                "2025-06-01T00:00:00Z",
		"2025-06-01T10:30":          "2025-06-01T10:30:00Z",
		"2025-06-01T10:30:00+02:00": "2025-06-01T08:30:00Z",
		"90m":                       "2025-06-02T10:30:00Z",
		"7d":                        "2025-05-26T12:00:00Z",
		"0s":                        "2025-06-02T12:00:00Z",
		"-1h":                       "", "d": "", "": "", "NaNd": "",
	} {
		got, err := parseMoment(text, now)
		if want == "" != (err != nil) || err == nil && got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}
