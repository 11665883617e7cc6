package completion

import (
	"cmp"
	"strings"

	"tandem/capture"
	"tandem/capture/eventhub"
)

// joined bounds the invocations that a joiner knows, at some 300 bytes each. The lines of one come within minutes.
const joined = 50_000

// A joiner makes reports of lines, by invocation. They may come in any order, and any of them twice or never. It is used
// by one goroutine at a time.
type joiner struct {
	calls map[string]*loggedCall
	order []string // of calls, the oldest first
}

// A loggedCall is what the log has said of an invocation.
type loggedCall struct {
	key      Key // "" until it is known
	delivery int
	failure  *capture.Error // that a line reported which did not end it
	ends     []eventhub.HostLine
}

func newJoiner() *joiner { return &joiner{calls: make(map[string]*loggedCall)} }

// add takes a line and returns what can be told now: once both its subject and its end are known, and again when more of
// it is, such as the number of its delivery.
func (j *joiner) add(line eventhub.HostLine) []Report {
	c := j.calls[line.Invocation]
	if c == nil {
		if len(j.order) == joined {
			delete(j.calls, j.order[0])
			j.order = j.order[1:]
		}
		c = new(loggedCall)
		j.calls[line.Invocation] = c
		j.order = append(j.order, line.Invocation)
	}
	if !c.take(line) || c.key == "" {
		return nil
	}
	var reports []Report
	for _, end := range c.ends {
		reports = append(reports, Report{
			Key: c.key, Source: logsName, Attempt: c.delivery, Invocation: line.Invocation, Outcome: c.outcome(&end),
			Time: end.Time,
		})
	}
	return reports
}

// take tells whether a line says anything new that counts.
func (c *loggedCall) take(line eventhub.HostLine) (isNew bool) {
	if c.key == "" {
		switch container, name, isBlob := strings.Cut(line.Blob, "/"); {
		case isBlob:
			c.key = Blob(container, name, "")
		case line.Message != "":
			c.key = Message(line.Message)
		}
		isNew = c.key != ""
	}
	if line.Delivery > 0 && c.delivery == 0 {
		c.delivery, isNew = line.Delivery, true
	}
	if !line.Ended {
		c.failure = cmp.Or(c.failure, line.Error)
		return isNew
	}
	for _, known := range c.ends {
		if known.Failed == line.Failed {
			return isNew
		}
	}
	c.ends = append(c.ends, line) // two that contradict each other are both told
	return true
}

// timedOut is what the host throws when functionTimeout of host.json is over:
// https://github.com/Azure/azure-webjobs-sdk, FunctionTimeoutException.
const timedOut = "FunctionTimeoutException"

func (c *loggedCall) outcome(end *eventhub.HostLine) *capture.Outcome {
	out := &capture.Outcome{Status: capture.StatusOK, PlatformMS: end.DurationMS}
	if !end.Failed {
		return out
	}
	out.Status, out.Error = capture.StatusFunctionError, cmp.Or(end.Error, c.failure)
	switch {
	case out.Error == nil:
		out.Error = &capture.Error{Message: "the host's log says that it failed, and not why"}
	case strings.HasSuffix(out.Error.Type, timedOut):
		out.Status = capture.StatusTimeout
	}
	return out
}
