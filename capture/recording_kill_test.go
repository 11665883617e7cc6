package capture

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"filippo.io/age"

	"tandem/capture/journal"
)

// victimEnv names the recording that this program, started again, goes on with until it is killed. It is encrypted if
// victimRecipientEnv says for whom.
const (
	victimEnv          = "TANDEM_CAPTURE_VICTIM"
	victimRecipientEnv = "TANDEM_CAPTURE_VICTIM_RECIPIENT"
)

// recordUntilKilled appends invocations that are numbered through and tells on standard output, whenever it changes,
// how many of all are flushed.
func recordUntilKilled(path string) {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	opts := CreateOptions{
		Append:  true,
		Journal: journal.WriterOptions{FrameBytes: 3000, FlushAfter: time.Millisecond, SegmentBytes: 8 << 10},
	}
	if recipient := os.Getenv(victimRecipientEnv); recipient != "" {
		to, err := age.ParseX25519Recipient(recipient)
		check(err)
		opts.Recipients = []age.Recipient{to}
	}
	w, err := Create(path, opts)
	check(err)
	before, told := w.manifest.Counts.Invocations, int64(-1)
	for i := before; ; i++ {
		if flushed := w.Stats().FlushedLines; flushed > told {
			told = flushed
			_, err := fmt.Println(before + flushed)
			check(err)
		}
		check(w.Write(invocationN(int(i))))
	}
}

// killOnce runs a victim, kills it after some of its reports, and returns the last one, or -1.
func killOnce(t *testing.T, path string, id *age.X25519Identity, reports int) (acked int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+path)
	if id != nil {
		cmd.Env = append(cmd.Env, victimRecipientEnv+"="+id.Recipient().String())
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked = -1
	in := bufio.NewScanner(out)
	for n := 0; ; n++ {
		if n == reports {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if !in.Scan() {
			break
		}
		if acked, err = strconv.Atoi(in.Text()); err != nil {
			t.Fatal(err)
		}
	}
	if cmd.Wait(); cmd.ProcessState.Exited() {
		t.Fatalf("the victim ended by itself: %v", cmd.ProcessState)
	}
	return acked
}

func TestAKillLosesNothingThatWasFlushed(t *testing.T) {
	t.Run("plain", func(t *testing.T) { killAndGoOn(t, nil) })
	t.Run("encrypted, without a key to go on", func(t *testing.T) { killAndGoOn(t, newIdentity(t)) })
}

func killAndGoOn(t *testing.T, id *age.X25519Identity) {
	var opts OpenOptions
	appending := CreateOptions{Append: true}
	if id != nil {
		opts.Identities = []age.Identity{id}
		appending.Recipients = []age.Recipient{id.Recipient()}
	}
	kills := 8
	if os.Getenv("TANDEM_SOAK") == "1" {
		kills = 100
	}
	path := filepath.Join(t.TempDir(), "orders.rec")
	acked := 0
	for kill := range kills {
		acked = max(acked, killOnce(t, path, id, rand.IntN(40)*(kill%4))) // each fourth at once
		r, err := Open(path, opts)
		if err != nil {
			if acked > 0 {
				t.Fatalf("kill %d: %v", kill, err)
			}
			continue // it was not even begun
		}
		found := 0
		for inv, err := range r.Invocations() {
			if err != nil {
				t.Fatalf("kill %d: %v", kill, err)
			}
			if inv.ID != invocationN(found).ID {
				t.Fatalf("kill %d: invocation %d is %s", kill, found, inv.ID)
			}
			found++
		}
		if found < acked {
			t.Fatalf("kill %d: %d invocations, %d were flushed", kill, found, acked)
		}
		acked = found
	}
	w, err := Create(path, appending)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(invocationN(acked)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := openRecording(t, path, opts)
	counts, err := r.Verify(t.Context())
	if err != nil || counts.Invocations != int64(acked)+1 || !r.Complete() {
		t.Fatalf("%+v after %d: %v", counts, acked, err)
	}
	t.Logf("%d kills, %d invocations", kills, counts.Invocations)
}
