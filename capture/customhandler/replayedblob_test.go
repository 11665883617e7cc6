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
