package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// An extension speaks the Extensions API, version 2020-01-01:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html.
type extension struct {
	platform string // host:port, as Lambda gave it
	client   *http.Client
	id       string
}

// The kinds of events.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// An event is what Lambda tells an extension.
type event struct {
	Type       string `json:"eventType"`
	DeadlineMS int64  `json:"deadlineMs"`
	RequestID  string `json:"requestId"`      // of an INVOKE
	Reason     string `json:"shutdownReason"` // of a SHUTDOWN
}

func (e event) deadline() time.Time { return time.UnixMilli(e.DeadlineMS) }

// newExtension makes a client without time-outs: the next event comes when it comes. No proxy stands before loopback.
func newExtension(platform string) *extension {
	return &extension{platform: platform, client: &http.Client{Transport: &http.Transport{}}}
}

// register makes the extension known to Lambda. The name is that of its file in /opt/extensions.
func (e *extension) register(ctx context.Context, name string, events ...string) error {
	body, err := json.Marshal(map[string][]string{"events": events})
	if err != nil {
		return err
	}
	resp, err := e.do(ctx, http.MethodPost, "register", body, "Lambda-Extension-Name", name)
	if err != nil {
		return fmt.Errorf("register the extension: %w", err)
	}
	defer resp.Body.Close()
	if e.id = resp.Header.Get("Lambda-Extension-Identifier"); e.id == "" {
		return fmt.Errorf("register the extension: no identifier")
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// next asks for the next event, and with that says that the extension is done with the last one.
func (e *extension) next(ctx context.Context) (event, error) {
	resp, err := e.do(ctx, http.MethodGet, "event/next", nil, "Lambda-Extension-Identifier", e.id)
	if err != nil {
		return event{}, fmt.Errorf("ask for the next event: %w", err)
	}
	defer resp.Body.Close()
	var ev event
	if err := json.NewDecoder(resp.Body).Decode(&ev); err != nil {
		return event{}, fmt.Errorf("read the next event: %w", err)
	}
	return ev, nil
}

func (e *extension) do(ctx context.Context, method, path string, body []byte, header, value string) (
	*http.Response, error,
) {
	url := "http://" + e.platform + "/2020-01-01/extension/" + path
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(header, value)
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // what is missing of it is missing from a message
		return nil, &statusError{code: resp.StatusCode, text: resp.Status + ": " + string(text)}
	}
	return resp, nil
}

// A statusError is an answer of Lambda that is not 200.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }
