package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"os"

	"filippo.io/age"

	"tandem/capture"
	"tandem/replay"
)

// recordingOf opens the recording that a run replayed: at path, or else where the run says that it was. It is nil when
// nothing is there, and when it cannot be opened but was not asked for.
func (a *app) recordingOf(
	run *replay.RunReader, path string, salvage bool, identities []age.Identity,
) (*capture.Recording, error) {
	if path != "" {
		return a.openRecording(path, salvage, identities)
	}
	m := run.Manifest()
	if m == nil || m.Recording.Path == "" || m.Recording.Path == "-" {
		return nil, nil
	}
	if _, err := os.Stat(m.Recording.Path); err != nil {
		return nil, nil
	}
	rec, err := a.openRecording(m.Recording.Path, salvage, identities)
	if err != nil {
		a.say("no conditions on events are told: %v", err)
		return nil, nil
	}
	return rec, nil
}

// eventsOf reads a recording. It ends in an error when that is not the one that the run replayed.
func eventsOf(
	rec *capture.Recording, m *replay.RunManifest, salvage bool,
) iter.Seq2[*capture.Invocation, error] {
	return func(yield func(*capture.Invocation, error) bool) {
		sum := sha256.New()
		for line, err := range rec.Lines() {
			if err != nil {
				yield(nil, err)
				return
			}
			sum.Write(line.Data)
			sum.Write([]byte{'\n'})
			inv, err := capture.ParseInvocation(line.Data)
			switch {
			case err == nil:
			case salvage:
				continue
			default:
				err = &capture.LineError{Place: capture.Place{File: line.File, Line: line.Number}, Err: err}
			}
			if !yield(inv, err) || err != nil {
				return
			}
		}
		if m != nil && hex.EncodeToString(sum.Sum(nil)) != m.Recording.Hash {
			yield(nil, errors.New("the recording is not the one that was replayed, or was changed since"))
		}
	}
}
