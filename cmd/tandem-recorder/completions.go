package main

import (
	"errors"
	"fmt"
	"log"
	"net/url"
	"time"
)

// Beside a handler, the worker can tell a replay what became of each call that answers nobody. It does so apart from
// recording, so that neither waits for the other.

const (
	completionsBuffer = 4 << 20 // about 4000 completions
	// completionsRest is short, because who waits for completions waits for minutes at most.
	completionsRest = 5 * time.Second
	lostUntold      = "not known"
)

// readCompletions reads where completions go to; nil for nowhere. Errors do not repeat it, because it may have a
// password.
func readCompletions(getenv func(string) string) (*url.URL, error) {
	text := getenv("TANDEM_COMPLETIONS")
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("TANDEM_COMPLETIONS is not the URL of a replay that listens, such as https://replay:7443")
	}
	return u, nil
}

// newCompletions returns a spool that posts to a replay.
func newCompletions(c config, to *url.URL, token string, log *log.Logger) *spool {
	// Completions have IDs, errors and times alone; an ID that looked like a secret would be of no use as a token.
	c.sink, c.token, c.redactor = to, token, nil
	c.buffer, c.longestRest = completionsBuffer, completionsRest
	return newSpool(newSink(c, nil), c, log)
}

// noteUntold counts completions that are not known, of which there are so many by now, and returns how many were told
// and are lost.
func (w *besideWorker) noteUntold(unknown int64) (told, lost int64) {
	if w.completions == nil {
		return 0, 0
	}
	w.completions.addLost(lostUntold, unknown-w.unknown)
	w.unknown = unknown
	told, _, reasons := w.completions.counts()
	for _, n := range reasons {
		lost += n
	}
	return told, lost
}

// completions says what became of completions, "" if there were none.
func (r *report) completions() string {
	if r.Told+r.Untold == 0 {
		return ""
	}
	line := fmt.Sprintf("; %d completions told", r.Told)
	if r.Untold > 0 {
		line += fmt.Sprintf(", %d LOST", r.Untold)
	}
	return line
}
