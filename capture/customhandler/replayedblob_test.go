package customhandler_test

import (
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/customhandler"
)

func TestABlobThatAReplayHasUploadedIsNotRecorded(t *testing.T) {
	for _, replays := range []bool{false, true} {
		b := newBench(t, customhandler.RecorderOptions{
			ObserverOptions: customhandler.ObserverOptions{Replays: replays}}, answer(`{}`))
		for _, name := range []string{capture.MarkMetadata, "Tandemtrial"} { // as whatever is on the way writes it
			b.call("import-catalog", customhandler.BlobTrigger{
				AccountURL: "https://a", Container: "catalog", Name: "n", Body: []byte("x"), Binary: true, ETag: "e",
				Metadata: map[string]string{name: "r/i/t/0"},
			}.Request("blob", customhandler.NewSys("import-catalog", time.Now())))
		}
		b.seen()
		got := b.recorder.Stats()
		if want := int64(2); replays && got.Recorded != want || !replays && got.LeftOut[customhandler.LeftReplay] != want {
			t.Errorf("replays %v: %s", replays, got)
		}
	}
}

func TestMessagesAndEventsThatAReplayHasSentAreNotRecorded(t *testing.T) {
	const mark, other = `"tandem-trial":"r/i/t/0"`, `"x":"tandem-trial"`
	for _, tt := range []struct {
		name, trigger, metadata string
		replayed                bool
	}{
		{"a message", "servicebustrigger", `{"ApplicationProperties":{` + mark + `}}`, true},
		{"a message, as older hosts have it", "servicebustrigger", `{"UserProperties":{"Tandem-Trial":"r"}}`, true},
		{"a message in a string", "servicebustrigger", `{"ApplicationProperties":"{\"tandem-trial\":\"r\"}"}`, true},
		{"somebody's message", "servicebustrigger", `{"ApplicationProperties":{` + other + `}}`, false},
		{"an event", "eventhubtrigger", `{"Properties":{` + mark + `}}`, true},
		{"events", "eventhubtrigger", `{"PropertiesArray":[{` + mark + `},{` + mark + `}]}`, true},
		{"events, in a string", "eventhubtrigger", `{"PropertiesArray":"[{\"tandem-trial\":\"r\"}]"}`, true},
		{"events, not all of them", "eventhubtrigger", `{"PropertiesArray":[{` + mark + `},{` + other + `}]}`, false},
		{"no events", "eventhubtrigger", `{"PropertiesArray":[]}`, false},
		{"a mark where none can be", "queuetrigger", `{"Properties":{` + mark + `}}`, false},
		{"nothing", "eventhubtrigger", `{}`, false},
		{"nonsense", "eventhubtrigger", `{"Properties":7,"PropertiesArray":"["}`, false},
	} {
		req, err := customhandler.ParseRequest([]byte(`{"Data":{},"Metadata":` + tt.metadata + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := customhandler.IsReplayed(req, tt.trigger); got != tt.replayed {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
