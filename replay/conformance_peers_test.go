//go:build peers

package replay_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

// TestTargetsAtPeers has for the targets whose outcomes others tell what the tests beside it have for those that answer.
func TestTargetsAtPeers(t *testing.T) {
	p := newPlatform(t)
	for _, tt := range []struct {
		name string
		test func(*testing.T, *platform, *venue)
	}{
		{"Faults are told alike", testFaultsAreToldAlike},
		{"A connection that ended between two is made anew", testAConnectionThatEndedIsMadeAnew},
		{"A peer that vanished is no outcome", testAPeerThatVanishedIsNoOutcome},
		{"A break anywhere makes no false outcome", testABreakAnywhereMakesNoFalseOutcome},
		{"What is not answered in time is unknown", testWhatAPeerDoesNotAnswerIsUnknown},
		{"A lane is fired in its order", testALaneIsFiredInItsOrder},
	} {
		for _, v := range venues {
			t.Run(tt.name+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				tt.test(t, p, &v)
			})
		}
	}
}

// The fault is met by what hands the message over. The peer has it then, but where it is said to be refused.
func testFaultsAreToldAlike(t *testing.T, p *platform, v *venue) {
	s := v.start(t, p, "faults")
	s.mustBeFine(t, v.name+" before")
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) { s.fireAt(t, v, &f, i) })
	}
}

// fireAt fires at a fault, and then at a peer that is well.
func (s *stage) fireAt(t *testing.T, v *venue, f *fault, i int) {
	refused := f.name == "throttle" || f.name == "redirect"
	text := fmt.Sprintf("%s %02d", v.name, i)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	switch {
	case v.amqp && f.name == "throttle":
		text = "busy!" + text
	case v.amqp && f.name == "redirect":
		text = "detach!" + text
	default:
		s.line.meet(f, text, !refused, cancel)
	}
	out, err := s.fire(t, ctx, text)
	if got, want := told(out, err), v.at(f); got != want {
		t.Errorf("outcome %s: %+v, %v; want %s", got, out, err, want)
	}
	want := 1
	if refused && !v.amqp {
		want = 0
	}
	if n := s.line.handed(text); n != want {
		t.Errorf("handed over %d times, want %d", n, want)
	}
	after := fmt.Sprintf("%s after %02d", v.name, i)
	if f.name == "slow body, cancelled" { // what else uses the connection may still be answered, as far as is known
		s.mustBeFineAnew(t, after)
	} else {
		s.mustBeFine(t, after)
	}
	if n := s.app.of(text); n > 1 || told(out, err) == "ok" && n != 1 || told(out, err) == throttled && n > 0 {
		t.Errorf("the app has worked on it %d times", n)
	}
}

// fire fires within a while that no peer should need, and looks for keys in what comes of it.
func (s *stage) fire(t *testing.T, ctx context.Context, text string) (*capture.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	inv := s.inv(text)
	mark := capture.Mark{Run: "01R", Invocation: text, Target: "functions"}
	start := time.Now()
	out, err := s.target.Fire(replay.WithMark(ctx, mark), inv)
	if took := time.Since(start); ctx.Err() != nil && took > 4*time.Second {
		t.Errorf("it ended %v after it was fired, and was cancelled at once", took)
	}
	said := fmt.Sprint(err)
	if out != nil && out.Error != nil {
		said += out.Error.Message
	}
	if strings.Contains(said, "SharedAccessKey") || strings.Contains(said, "AccountKey") || strings.Contains(said, "sig=") {
		t.Errorf("there is a key in %s", said)
	}
	return out, err
}

func (s *stage) mustBeFine(t *testing.T, text string) {
	t.Helper()
	out, err := s.fire(t, t.Context(), text)
	if told(out, err) != "ok" {
		t.Errorf("without a fault: %+v, %v", out, err)
		return
	}
	if worked, handed := s.app.of(text), s.line.handed(text); worked != 1 || handed != 1 {
		t.Errorf("without a fault it was handed over %d times, and worked on %d times", handed, worked)
	}
}

// mustBeFineAnew fires after the connections have ended. A target may be told so when it has looked already.
func (s *stage) mustBeFineAnew(t *testing.T, text string) {
	t.Helper()
	for n := range 5 {
		s.line.drop()
		if out, err := s.fire(t, t.Context(), fmt.Sprintf("%s, attempt %d", text, n)); told(out, err) == "ok" {
			return
		}
	}
	t.Error("the first firing after a connection has ended is lost")
}

// Services end connections that nothing is sent on, and so do the machines between.
func testAConnectionThatEndedIsMadeAnew(t *testing.T, p *platform, v *venue) {
	s := v.start(t, p, "anew")
	s.mustBeFine(t, v.name+" first")
	s.mustBeFineAnew(t, v.name+" anew")
}

func testAPeerThatVanishedIsNoOutcome(t *testing.T, p *platform, v *venue) {
	for name, before := range map[string]int{"gone": 0, "vanish": 1} {
		if before == 0 && v.looks {
			continue // a replay does not begin where storage cannot be looked at, for which it asks for seconds
		}
		s := v.start(t, p, name)
		for range before {
			s.mustBeFine(t, "there at "+v.name)
		}
		s.line.vanish()
		if out, err := s.fire(t, t.Context(), "not there"); told(out, err) != "transport_error" {
			t.Errorf("after %d: %+v, %v", before, out, err)
		}
		if n := s.line.handed("not there"); n != 0 {
			t.Errorf("after %d: handed over %d times", before, n)
		}
	}
}

// The connection ends at each exchange of a firing in turn, on the way there and on the way back.
func testABreakAnywhereMakesNoFalseOutcome(t *testing.T, p *platform, v *venue) {
	s := v.start(t, p, "sweep")
	for n := 0; ; n++ {
		for _, taken := range []bool{false, true} {
			text := fmt.Sprintf("%s %03d %v", v.name, n, taken)
			s.line.drop() // so that connecting is part of it
			s.line.meetNth(n, taken)
			out, err := s.fire(t, t.Context(), text)
			got, handed, worked := told(out, err), s.line.handed(text), s.app.of(text)
			if handed > 1 || worked > 1 || got == "ok" && worked != 1 || got == throttled && handed > 0 ||
				got == "setup error" {
				t.Errorf("%s: %s, handed over %d times, worked on %d times: %+v, %v", text, got, handed, worked, out, err)
			}
			if !s.line.met() { // it was over before
				s.line.meetNth(1<<30, false)
				s.mustBeFineAnew(t, v.name+" in the end")
				if n < v.exchanges {
					t.Errorf("a firing took %d exchanges, and at least %d are known", n, v.exchanges)
				}
				return
			}
		}
	}
}

func testWhatAPeerDoesNotAnswerIsUnknown(t *testing.T, p *platform, v *venue) {
	s := v.start(t, p, "slow")
	s.mustBeFine(t, v.name+" there")
	f := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == "slow body, cancelled" })]
	text := strings.ReplaceAll(v.name, " ", "-") + "-not-answered"
	s.line.meet(&f, text, true, func() {})
	trials := s.replay(t, time.Second, s.inv(text))
	out := trials[text].Outcomes["t"]
	if out.Status != capture.StatusUnknown || !strings.Contains(out.Error.Message, "no answer within 1s") {
		t.Errorf("outcome %s: %+v", out.Status, out.Error)
	}
	if n := s.line.handed(text); n > 1 {
		t.Errorf("handed over %d times", n)
	}
}

// replay makes a run of invocations and returns its trials.
func (s *stage) replay(t *testing.T, timeout time.Duration, invs ...*capture.Invocation) map[string]*replay.Trial {
	t.Helper()
	recording := writeRecording(t, invs...)
	opts := replay.Options{
		Recording: openRecording(t, recording), RecordingPath: recording, InFlight: 4, TargetTimeout: timeout,
		Targets: map[string][]replay.Deployment{"f": {{Name: "t", Kind: "k", Target: s.target}}},
		Dir:     filepath.Join(t.TempDir(), "f.run"),
	}
	if _, err := replay.Run(t.Context(), t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	trials, _ := readRun(t, opts.Dir)
	return trials
}

// Those without lanes have no order: a Storage Queue keeps none, and Lambda starts asynchronous invocations as it likes.
func testALaneIsFiredInItsOrder(t *testing.T, p *platform, v *venue) {
	if v.lane == "" {
		return
	}
	s := v.start(t, p, "lanes")
	var invs []*capture.Invocation
	var want []string
	for n := range 8 {
		text := fmt.Sprintf("lane@%d-of-%s", n, v.name)
		invs, want = append(invs, s.inv(text)), append(want, text)
	}
	trials := s.replay(t, time.Minute, invs...)
	for _, text := range want {
		if trial := trials[text]; trial.Outcomes["t"].Status != capture.StatusOK || !strings.HasPrefix(trial.Lane, v.lane) {
			t.Errorf("%s: lane %q, %+v", text, trial.Lane, trial.Outcomes["t"])
		}
	}
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	got := slices.DeleteFunc(s.app.order, func(text string) bool { return !strings.HasPrefix(text, "lane@") })
	if !slices.Equal(got, want) {
		t.Errorf("the app worked on %q", got)
	}
}
