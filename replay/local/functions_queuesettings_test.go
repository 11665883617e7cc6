package local

import (
	"strings"
	"testing"
	"time"
)

func ptr[T any](v T) *T { return &v }

func TestQueueSettings(t *testing.T) {
	defaults := queueSettings{
		maxPollingInterval: time.Minute, batchSize: 16, maxDequeueCount: 5, newBatchThreshold: 8, base64: true,
	}
	small := defaults
	small.maxPollingInterval, small.visibilityTimeout = 250*time.Millisecond, 30*time.Second
	small.batchSize, small.newBatchThreshold, small.maxDequeueCount, small.base64 = 1, 0, 1, false
	for _, tt := range []struct {
		name string
		file queueFile
		want queueSettings
		err  string
	}{
		{"the host's defaults", queueFile{}, defaults, ""},
		{"all set; the threshold follows the batch", queueFile{
			MaxPollingInterval: "00:00:00.25", VisibilityTimeout: "00:00:30", BatchSize: ptr(1), MaxDequeueCount: ptr(1),
			MessageEncoding: "None",
		}, small, ""},
		{"more than Get Messages gives", queueFile{BatchSize: ptr(33)}, queueSettings{},
			"batchSize: 33 is not from 1 to 32"},
		{"never", queueFile{MaxDequeueCount: ptr(0)}, queueSettings{}, "maxDequeueCount: 0"},
		{"a busy loop", queueFile{MaxPollingInterval: "00:00:00"}, queueSettings{}, "maxPollingInterval"},
		{"milliseconds, as the first version had it", queueFile{VisibilityTimeout: "30"}, queueSettings{},
			"is not hh:mm:ss"},
		{"another encoding", queueFile{MessageEncoding: "utf8"}, queueSettings{}, "messageEncoding"},
	} {
		got, err := tt.file.settings()
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
		}
	}
}

func TestConnectionsAreAppSettings(t *testing.T) {
	for _, tt := range []struct {
		name, trigger, connection string
		settings                  []string
		want                      string
	}{
		{"the default", "queueTrigger", "", []string{"AzureWebJobsStorage=a"}, "a"},
		{"by its whole name", "queueTrigger", "AzureWebJobsStorage", []string{"AzureWebJobsStorage=a"}, "a"},
		{"without the prefix", "queueTrigger", "Orders", []string{"AzureWebJobsOrders=a", "Orders=b"}, "a"},
		{"a setting of its own", "queueTrigger", "Orders", []string{"AzureWebJobsStorage=a", "Orders=b"}, "b"},
		{"not set", "queueTrigger", "Orders", []string{"AzureWebJobsStorage=a"}, ""},
		{"another trigger", "blobTrigger", "", []string{"AzureWebJobsStorage=a"}, ""},
	} {
		fn := &azureFunction{trigger: binding{Type: tt.trigger, Connection: tt.connection}}
		if got, ok := fn.connection(tt.settings); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A shell that has the account of production in its environment must not make the host take messages from there.
func TestQueuesOfTheProcessEnvironmentAreNotPolled(t *testing.T) {
	t.Setenv("AzureWebJobsStorage", "AccountName=prod;AccountKey=a2V5;QueueEndpoint=http://127.0.0.1:1/prod")
	f, _ := startApp(t, FunctionsOptions{App: writeApp(t, payloads, map[string]string{"queue": queueFunction})})
	if pollers, err := f.newPollers(); err != nil || len(pollers) != 0 {
		t.Errorf("%d queues are polled, %v", len(pollers), err)
	}
	_, err := NewFunctions(t.Context(), FunctionsOptions{
		App: writeApp(t, payloads, map[string]string{"queue": queueFunction}), Env: []string{"AzureWebJobsStorage=secret"},
	})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a connection that is none: %v", err)
	}
}
