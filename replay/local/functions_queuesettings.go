package local

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// queueFile is extensions.queues of host.json:
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json.
type queueFile struct {
	MaxPollingInterval string `json:"maxPollingInterval"`
	VisibilityTimeout  string `json:"visibilityTimeout"`
	BatchSize          *int   `json:"batchSize"`
	MaxDequeueCount    *int   `json:"maxDequeueCount"`
	NewBatchThreshold  *int   `json:"newBatchThreshold"`
	MessageEncoding    string `json:"messageEncoding"`
}

// queueSettings say how queues are polled.
type queueSettings struct {
	maxPollingInterval time.Duration
	visibilityTimeout  time.Duration // after a failure
	batchSize          int
	maxDequeueCount    int
	newBatchThreshold  int
	base64             bool
}

// settings fills in the host's defaults, which are those of QueuesOptions.cs. Errors name the field.
func (f *queueFile) settings() (queueSettings, error) {
	s := queueSettings{maxPollingInterval: time.Minute, batchSize: 16, maxDequeueCount: 5}
	for _, field := range []struct {
		name string
		text string
		to   *time.Duration
		min  time.Duration
	}{
		{"maxPollingInterval", f.MaxPollingInterval, &s.maxPollingInterval, minQueuePoll},
		{"visibilityTimeout", f.VisibilityTimeout, &s.visibilityTimeout, 0},
	} {
		if field.text == "" {
			continue
		}
		d, err := parseInterval(field.text)
		if err == nil && d < field.min {
			err = fmt.Errorf("%q is less than %v", field.text, field.min)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.to = d
	}
	for _, field := range []struct {
		name     string
		value    *int
		to       *int
		min, max int
	}{
		{"batchSize", f.BatchSize, &s.batchSize, 1, 32},
		{"maxDequeueCount", f.MaxDequeueCount, &s.maxDequeueCount, 1, 1 << 30},
		{"newBatchThreshold", f.NewBatchThreshold, &s.newBatchThreshold, 0, 1 << 30},
	} {
		switch {
		case field.value == nil:
			if field.name == "newBatchThreshold" {
				s.newBatchThreshold = s.batchSize / 2
			}
		case *field.value < field.min || *field.value > field.max:
			return s, fmt.Errorf("%s: %d is not from %d to %d", field.name, *field.value, field.min, field.max)
		default:
			*field.to = *field.value
		}
	}
	switch strings.ToLower(f.MessageEncoding) {
	case "", "base64":
		s.base64 = true
	case "none":
	default:
		return s, fmt.Errorf("messageEncoding: %q is neither base64 nor none", f.MessageEncoding)
	}
	return s, nil
}

var interval = regexp.MustCompile(`^(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,7}))?$`)

// parseInterval reads a .NET TimeSpan of less than a day, hh:mm:ss[.fffffff].
func parseInterval(text string) (time.Duration, error) {
	m := interval.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf(`%q is not hh:mm:ss, such as "00:00:02"`, text)
	}
	var total time.Duration
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(m[i+1]) // at most two digits
		total += time.Duration(n) * unit
	}
	fraction, _ := strconv.Atoi((m[4] + "0000000")[:7]) // of 100 ns
	return total + time.Duration(fraction)*100, nil
}

// connection returns the connection string of the function's queue, from the app's settings. Ok is false when the
// trigger is no queue's or there is no such setting.
func (fn *azureFunction) connection(settings []string) (value string, ok bool) {
	if !strings.EqualFold(fn.trigger.Type, "queueTrigger") {
		return "", false
	}
	return fn.storage(settings)
}

// storage returns the connection string of the account that the trigger names.
func (fn *azureFunction) storage(settings []string) (value string, ok bool) {
	value = setting(settings, cmp.Or(fn.trigger.Connection, "Storage"))
	return value, value != ""
}

// setting returns the connection of that name. A name stands for the setting AzureWebJobs<name>, and else for the one
// of that name:
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#connections.
func setting(settings []string, name string) string {
	if name == "" {
		return ""
	}
	return cmp.Or(lookup(settings, "AzureWebJobs"+name), lookup(settings, name))
}
