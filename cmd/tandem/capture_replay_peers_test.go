//go:build peers

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"tandem/capture"
	"tandem/compare"
	"tandem/fixtures/peers"
)

// invocationsOf calls do with the invocations of one function in a recording.
func invocationsOf(t *testing.T, path, function string, do func(*capture.Recording, *capture.Invocation)) {
	t.Helper()
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		if inv.Function == function {
			do(rec, inv)
		}
	}
}

// checkReplays replays what was captured into folder at the sample application and its port, without mistakes and
// with one that the traffic shows, if there is one. All of it is a trial, and all trials are judged.
func checkReplays(t *testing.T, programs, folder string, invocations int, mistake string) {
	t.Helper()
	report := replayDemo(t, programs, folder, "")
	if n := report.Trials; report.Verdict != compare.Parity || n.Total != int64(invocations) || n.Matched != n.Total {
		t.Errorf("verdict %s of %d invocations, trials %+v", report.Verdict, invocations, n)
		for _, c := range report.Clusters {
			t.Logf("%s %s %s: %d trials, %+v", c.Function, c.Path, c.Kind, c.Trials, c.Examples)
		}
	}
	if mistake == "" {
		return
	}
	report = replayDemo(t, programs, folder, mistake)
	if report.Verdict != compare.Differs || len(report.Clusters) != 1 {
		t.Errorf("with %s: verdict %s, %d clusters", mistake, report.Verdict, len(report.Clusters))
	}
}

// captured runs a capture and returns what it prints with --json.
func captured[T any](t *testing.T, args ...string) (counts T) {
	t.Helper()
	code, stdout, stderr := call(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(stdout), &counts); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	return counts
}

// TestWhatATapRecordsReplays sends what the sample application got through taps, and replays what is captured there.
func TestWhatATapRecordsReplays(t *testing.T) {
	programs := orders(t)
	original := filepath.Join(recordDemo(t, programs), "orders.rec")
	t.Run("sqs", func(t *testing.T) {
		t.Parallel()
		q := newTapQueue(t, peers.Fauxqs(t), "orders-tap", nil)
		sent := 0
		invocationsOf(t, original, "process-order", func(_ *capture.Recording, inv *capture.Invocation) {
			var event events.SQSEvent
			if err := json.Unmarshal(inv.Event, &event); err != nil {
				t.Fatal(err)
			}
			for _, m := range event.Records {
				q.sendBody(t, m.Body)
				sent++
			}
		})
		folder := t.TempDir()
		counts := captured[struct{ Received, Recorded, Invocations int }](t, "capture", "sqs", "--endpoint", q.server,
			"--drain-production", "--queue", q.name, "--as-queue", "arn:aws:sqs:us-east-1:000000000000:orders", "--function",
			"process-order", "-o", filepath.Join(folder, "orders.rec"), "--max-messages", fmt.Sprint(sent))
		if counts.Recorded != sent || sent == 0 {
			t.Errorf("%d messages sent, %+v", sent, counts)
		}
		checkReplays(t, programs, folder, counts.Invocations, "sent-twice")
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		sent := 0
		invocationsOf(t, original, "import-catalog", func(rec *capture.Recording, inv *capture.Invocation) {
			for _, o := range inv.Objects {
				body, err := rec.OpenObject(o.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(body)
				body.Close()
				if err != nil {
					t.Fatal(err)
				}
				s.send(t, s.put(t, o.Key, string(content), sent))
				sent++
			}
		})
		type report struct{ Seen, Recorded, Refused int }
		for mistake, from := range map[string][]string{
			"number-as-string": {"--queue", "catalog-tap", "--drain-production", "--max-messages", fmt.Sprint(sent)},
			"":                 {"--list", "s3://" + shopBucket},
		} {
			folder := t.TempDir()
			counts := captured[report](t, append([]string{"capture", "s3", "--endpoint", s.sqsURL, "--s3-endpoint", s.s3URL,
				"--function", "import-catalog", "-o", filepath.Join(folder, "orders.rec")}, from...)...)
			if counts.Recorded != sent || sent == 0 {
				t.Errorf("%s: %d objects put, %+v", from, sent, counts)
			}
			checkReplays(t, programs, folder, counts.Recorded, mistake)
		}
	})
	t.Run("eventhub", func(t *testing.T) {
		t.Parallel()
		h := newTapHub(t, 2)
		sent := 0
		invocationsOf(t, original, "create-order", func(_ *capture.Recording, inv *capture.Invocation) {
			h.send(t, sent, exchangeOf(t, inv))
			h.send(t, sent, "garbage", `{"neither":1}`, "\xff\xfe")
			sent++
		})
		messages := 0
		invocationsOf(t, original, "process-order", func(_ *capture.Recording, inv *capture.Invocation) {
			var event events.SQSEvent
			if err := json.Unmarshal(inv.Event, &event); err != nil {
				t.Fatal(err)
			}
			for _, m := range event.Records {
				line, _ := json.Marshal(map[string]any{"queue": "orders", "messageId": m.MessageId, "messageText": m.Body,
					"insertionTime": "2026-03-01T10:00:00Z", "dequeueCount": 1})
				h.send(t, messages, string(line))
				messages++
			}
		})
		folder := t.TempDir()
		p := h.capture(t, "-o", filepath.Join(folder, "orders.rec"), "--idle", "3s", "--json", "--route", createOrderRoute,
			"--name", "orders=process-order", "--queue-arn", "orders=arn:aws:sqs:us-east-1:000000000000:orders")
		code, err := p.finish()
		text, _ := p.stderr.read()
		var report struct {
			Events    int
			Left      map[string]int
			Functions map[string]struct{ Recorded int }
		}
		jerr := json.Unmarshal(p.stdout.Bytes(), &report)
		recorded, left := 0, 0
		for _, f := range report.Functions {
			recorded += f.Recorded
		}
		for _, n := range report.Left {
			left += n
		}
		if code != 0 || err != nil || jerr != nil || report.Events != recorded+left || recorded != sent+messages {
			t.Fatalf("exit code %d, %v, %v, %d events and %d messages: %s\n%s", code, err, jerr, sent, messages,
				p.stdout.String(), text)
		}
		checkReplays(t, programs, folder, sent+messages, "status-200")
	})
}

func (q *tapQueue) sendBody(t *testing.T, body string) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: q.queue, MessageBody: aws.String(body)}
	if _, err := q.client.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// exchangeOf makes of an HTTP event the request that a gateway tells a hub of.
func exchangeOf(t *testing.T, inv *capture.Invocation) string {
	t.Helper()
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(inv.Event, &event); err != nil {
		t.Fatal(err)
	}
	target := "https://orders.azurewebsites.net/api" + event.RawPath
	if event.RawQueryString != "" {
		target += "?" + event.RawQueryString
	}
	request := map[string]any{
		"id": inv.ID, "function": inv.Function, "time": inv.Time, "method": event.RequestContext.HTTP.Method,
		"url": target, "headers": event.Headers,
	}
	if body := event.Body; event.IsBase64Encoded {
		request["bodyBase64"] = body
	} else {
		request["body"] = body
	}
	if a := inv.Outcome.HTTP; a != nil {
		response := map[string]any{"status": a.Status}
		if a.Body != nil && len(a.Body.JSON) > 0 {
			response["body"] = string(a.Body.JSON)
			response["headers"] = map[string]string{"content-type": strings.Join(a.Headers["content-type"], "")}
		}
		request["response"] = response
	}
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}
