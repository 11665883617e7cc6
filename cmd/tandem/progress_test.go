package main

import (
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

func TestWhatIsBesideABarLeavesRoomForIt(t *testing.T) {
	const beforeBar = len("functions 1000000/1000000 ") + barWidth + len(" ")
	for _, test := range []struct {
		name    string
		s       replay.Snapshot
		elapsed time.Duration
		want    string
	}{
		{"nothing was fired", snapshot(1_000_000, 0, 0), 0, "    0/s, 0 errors, ? left"},
		{"all of a resumed run was there", snapshot(1_000_000, 1_000_000, 0), time.Second, "    0/s, 0 errors, ? left"},
		{"half", snapshot(1_000_000, 500_000, 7), 1000 * time.Second, "  500/s, 7 errors, 16m40s left"},
		{"fast, and all of it fails", snapshot(1_000_000, 999_999, 999_999), 20 * time.Second, " 50000/s, 999999 errors, 0s left"},
		{"slow", snapshot(1_000_000, 100, 10), 10 * time.Minute, "    0/s, 10 errors, 1666h30m0s left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "all of a resumed run was there" {
				test.s.Resumed = test.s.Done
			}
			got := besideBar(test.s, 0, test.elapsed)
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if n := beforeBar + len(got); n > 80 {
				t.Errorf("%d columns", n)
			}
		})
	}
}

func TestTheRateIsThatOfTheFiringNotOfTheReadingBefore(t *testing.T) {
	firing := stopwatch{time.Now().Add(-time.Hour)}
	if got := firing.elapsed(replay.Snapshot{Total: 1}); got < time.Hour {
		t.Errorf("%v, want the hour since it began", got)
	}
	firing.elapsed(replay.Snapshot{}) // it is still being read
	if got := firing.elapsed(replay.Snapshot{Total: 1}); got >= time.Hour {
		t.Errorf("%v, want what passed since it was read", got)
	}
}

func snapshot(total, done, errors int64) replay.Snapshot {
	return replay.Snapshot{Total: total, Done: done, Targets: []replay.TargetSnapshot{{
		Name: "functions", Done: done, Statuses: map[capture.Status]int64{
			capture.StatusOK: done - errors, capture.StatusFunctionError: errors,
		},
	}}}
}

func TestWhatIsBelowABarFitsATerminal(t *testing.T) {
	s := snapshot(1_000_000, 999_999, 999_999)
	s.Blocked = 1032
	target := &s.Targets[0]
	target.P50, target.P99, target.Throttled = 12*time.Millisecond, 3*time.Second, 7
	want := "          p50 12ms, p99 3s, 1032 wait in lanes, refused 7 times; 999999 functi…"
	if got := belowBar(s, 0); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
