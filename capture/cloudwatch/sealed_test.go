package cloudwatch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"tandem/capture"
	"tandem/capture/journal"
)

func TestAnEncryptedCaptureIsGoneOnWithAndNeedsAKeyOnlyAfterAKill(t *testing.T) {
	const n = 40
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, faults{}, traffic(n, 400)...)
	dir := filepath.Join(t.TempDir(), "f.rec")
	into := func(length time.Duration, keys ...age.Identity) error {
		w, err := capture.Create(dir, capture.CreateOptions{Append: true, Recipients: []age.Recipient{id.Recipient()}})
		if err != nil {
			return err
		}
		_, err = Capture(context.Background(), Options{
			Client: newClient(s.URL, s.Client()), Functions: []Function{{Name: "f"}}, Sink: w, Dir: dir, Identities: keys,
			Rate: 1e6, From: time.UnixMilli(epoch), To: time.UnixMilli(epoch).Add(length),
		})
		return errors.Join(err, w.Close())
	}
	if err := into(n / 2 * 400 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	cursor := filepath.Join(dir, cursorName)
	before, err := os.ReadFile(cursor)
	if err != nil {
		t.Fatal(err)
	}
	if err := into(time.Hour); err != nil {
		t.Fatalf("without a key: %v", err)
	}
	if err := os.WriteFile(cursor, before, 0o600); err != nil { // as if it had been killed before it saved the cursor
		t.Fatal(err)
	}
	var keyless *journal.KeyError
	if err := into(time.Hour); !errors.As(err, &keyless) {
		t.Errorf("after a kill, without a key: %v", err)
	}
	if err := into(time.Hour, id); err != nil {
		t.Fatalf("after a kill, with a key: %v", err)
	}
	rec, err := capture.Open(dir, capture.OpenOptions{Identities: []age.Identity{id}})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	counts, err := rec.Verify(t.Context()) // which finds what is there twice
	if want := int64(len(wanted(n))); err != nil || counts.Invocations != want {
		t.Errorf("%d invocations, want %d: %v", counts.Invocations, want, err)
	}
}
