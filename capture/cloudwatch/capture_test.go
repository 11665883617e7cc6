package cloudwatch

import (
	"cmp"
	"context"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func checkSum(t testing.TB, c *Completeness) {
	t.Helper()
	if c.Invocations != c.Events+c.Missing+c.Open {
		t.Errorf("%d invocations are not %d + %d + %d", c.Invocations, c.Events, c.Missing, c.Open)
	}
}

func TestWhateverTheServiceDoesTheInvocationsAreTheSame(t *testing.T) {
	const n = 300
	logs := traffic(n, 400)
	for _, tc := range []struct {
		why    string
		faults faults
	}{
		{"it does nothing wrong", faults{}},
		{"pages are small", faults{page: 50}},
		{"pages are empty while more remain", faults{page: 100, empty: 3}},
		{"requests are throttled", faults{page: 100, throttle: 3}},
		{"a token repeats on an empty page, and then goes on", faults{page: 100, repeat: 2}},
		{"the last token repeats for ever", faults{page: 100, loop: true}},
		{"tokens expire", faults{page: 100, expire: 2}},
		{"events come twice", faults{page: 50, duplicates: true}},
		{"events are not in order", faults{page: 70, disorder: true}},
		{"requests fail", faults{page: 100, broken: 4}},
		{"it is slow", faults{page: 200, slow: 2 * time.Millisecond}},
		{"all at once", faults{page: 100, empty: 1, throttle: 5, repeat: 7, expire: 12, duplicates: true, disorder: true, broken: 11}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			s := newServer(t, tc.faults, logs...)
			var sink memory
			r, err := Capture(t.Context(), options(t, s, &sink))
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(wanted(n), sink.numbers(t)); diff != "" {
				t.Errorf("orders (-want +got):\n%s", diff)
			}
			c := r.Functions["f"]
			checkSum(t, c)
			if c.Invocations != n || c.Missing != n/10 || c.Answers != n-n/10 || !r.Functions["f"].To.Equal(time.UnixMilli(epoch).Add(time.Hour)) {
				t.Errorf("%+v", c)
			}
			if tc.faults.throttle > 0 != (r.Throttled > 0) {
				t.Errorf("%d requests were throttled", r.Throttled)
			}
			if sink.lost != n/10 || r.Complete {
				t.Errorf("%d lost, complete %t", sink.lost, r.Complete)
			}
			for _, inv := range sink.invs {
				i := orderNumber(t, inv)
				if inv.Context.RequestID != requestID(i) || string(inv.Event) != httpEvent(i) || inv.Outcome.PlatformMS != 1199.5 ||
					inv.Outcome.HTTP == nil || inv.Time.UnixMilli() != epoch+int64(i)*400 || inv.Source != "cloudwatch:/aws/lambda/f" {
					t.Fatalf("invocation %d is %+v", i, inv)
				}
			}
		})
	}
}

func TestFullPagesAreRead(t *testing.T) {
	const n = 4200 // 21,000 log events in 21 s: three pages in one window
	s := newServer(t, faults{}, traffic(n, 5)...)
	var sink memory
	r, err := Capture(t.Context(), options(t, s, &sink))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(sink.invs); got != n-n/10 || r.Functions["f"].Invocations != n {
		t.Errorf("%d invocations, %+v", got, r.Functions["f"])
	}
}

func TestAQuietRangeCostsFewRequests(t *testing.T) {
	s := newServer(t, faults{}, traffic(10, 400)...)
	var sink memory
	o := options(t, s, &sink)
	o.To = o.From.Add(7 * 24 * time.Hour)
	r, err := Capture(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(sink.invs) != 9 || r.Requests > 60 {
		t.Errorf("%d invocations with %d requests", len(sink.invs), r.Requests)
	}
}

func TestFunctionsThatShareAGroupAreToldApart(t *testing.T) {
	logs := traffic(40, 400)
	for i := range logs {
		name := "f"
		if strings.HasSuffix(logs[i].LogStreamName, "1") {
			name = "g"
		}
		logs[i].LogStreamName = strings.Replace(logs[i].LogStreamName, "/[", "/"+name+"[", 1)
	}
	s := newServer(t, faults{})
	s.put("shared", logs...)
	var sink memory
	o := options(t, s, &sink)
	o.Functions = []Function{{"f", "shared"}, {"g", "shared"}}
	r, err := Capture(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if f, g := r.Functions["f"].Invocations, r.Functions["g"].Invocations; f != 32 || g != 8 {
		t.Errorf("%d and %d invocations", f, g)
	}
	for _, inv := range sink.invs {
		if want := orderNumber(t, inv)%5 == 1; want != (inv.Function == "g") {
			t.Errorf("order %d is of %s", orderNumber(t, inv), inv.Function)
		}
	}
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		why, kind string
		want      string
		is        error
	}{
		{"credentials expired", "ExpiredTokenException", "renew them and go on with --append", ErrCredentials},
		{"credentials are wrong", "UnrecognizedClientException", "not valid", ErrCredentials},
		{"the policy lacks an action", "AccessDeniedException", "logs:FilterLogEvents is not allowed", nil},
		{"there is no group", "ResourceNotFoundException", "NAME=GROUP", nil},
		{"a parameter is refused without a token", "InvalidParameterException", "/aws/lambda/f", nil},
	} {
		t.Run(tc.why, func(t *testing.T) {
			s := newServer(t, faults{page: 100}, traffic(200, 400)...)
			s.before = func(n int) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if n == 6 {
					s.failWith = tc.kind
				}
			}
			var sink memory
			r, err := Capture(t.Context(), options(t, s, &sink))
			if err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if r == nil {
				t.Fatal("no report")
			}
			checkSum(t, r.Functions["f"])
			if r.Requests > 12 {
				t.Errorf("%d requests, though it makes no sense to try again", r.Requests)
			}
		})
	}
}

func TestTokensThatNeverWorkEndTheCapture(t *testing.T) {
	s := newServer(t, faults{page: 10, expire: 1}, traffic(1000, 0)...) // all in one instant: a restart brings nothing new
	var sink memory
	_, err := Capture(t.Context(), options(t, s, &sink))
	if err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("error %v", err)
	}
}

func TestASinkThatFailsEndsTheCapture(t *testing.T) {
	full := errors.New("disk full")
	s := newServer(t, faults{page: 50}, traffic(500, 400)...)
	sink := memory{fail: full}
	if _, err := Capture(t.Context(), options(t, s, &sink)); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}

func TestAWrongOptionIsToldBeforeAnythingIsRead(t *testing.T) {
	s := newServer(t, faults{})
	for _, tc := range []struct {
		why    string
		change func(*Options)
	}{
		{"no function", func(o *Options) { o.Functions = nil }},
		{"a function twice", func(o *Options) { o.Functions = []Function{{Name: "f"}, {Name: "f"}} }},
		{"no beginning", func(o *Options) { o.From = time.Time{} }},
		{"an end before the beginning", func(o *Options) { o.To = o.From.Add(-1) }},
		{"a pattern without a group", func(o *Options) { o.Pattern = regexp.MustCompile(`\{.*\}`) }},
	} {
		o := options(t, s, &memory{})
		tc.change(&o)
		if r, err := Capture(t.Context(), o); err == nil || r != nil || s.requests > 0 {
			t.Errorf("%s: %v, %v", tc.why, r, err)
		}
	}
}

// An invocation that runs on past the end of the range is read to its end; one that starts there is not wanted.
func TestTheRangeIsOfStarts(t *testing.T) {
	s := newServer(t, faults{}, traffic(20, 1000)...)
	var sink memory
	o := options(t, s, &sink)
	o.From, o.To = time.UnixMilli(epoch+5000), time.UnixMilli(epoch+8500)
	r, err := Capture(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := sink.numbers(t); !slices.Equal(got, []int{5, 6, 7, 8}) {
		t.Errorf("orders %v", got)
	}
	for _, inv := range sink.invs {
		if inv.Outcome == nil || inv.Outcome.PlatformMS == 0 {
			t.Errorf("order %d has outcome %+v", orderNumber(t, inv), inv.Outcome)
		}
	}
	if c := r.Functions["f"]; c.Invocations != 4 || c.Open+c.Missing+c.WithoutStart != 0 || !r.Complete {
		t.Errorf("%+v", c)
	}
}

func TestFollowReadsWhatComesAndEndsCleanly(t *testing.T) {
	const n = 30
	begin := time.Now().Add(-3 * time.Second).UnixMilli()
	logs := traffic(n, 20)
	for i := range logs {
		logs[i].Timestamp += begin - epoch
	}
	// The log of one environment is there at once. The others come with each request, a few lines at a time: each in
	// order, but not in order of time among themselves.
	slices.SortStableFunc(logs, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.LogStreamName, b.LogStreamName), cmp.Compare(a.Timestamp, b.Timestamp))
	})
	s := newServer(t, faults{page: 20, duplicates: true}, logs[:30]...)
	s.put("/aws/lambda/f", entry{LogStreamName: "other", Message: httpEvent(99), Timestamp: begin}) // nobody's
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rest, polls := logs[30:], 0
	s.before = func(int) {
		if len(rest) > 0 {
			k := min(7, len(rest))
			s.put("/aws/lambda/f", rest[:k]...)
			rest = rest[k:]
		} else if polls++; polls > 20 {
			cancel()
		}
	}
	var sink memory
	o := options(t, s, &sink)
	o.From, o.To, o.Follow, o.Poll, o.Windows = time.UnixMilli(begin), time.Time{}, true, time.Millisecond, 1
	r, err := Capture(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := sink.numbers(t); !slices.Equal(got, wanted(n)) {
		t.Errorf("orders %v", got)
	}
	c := r.Functions["f"]
	checkSum(t, c)
	if c.Invocations != n || c.Missing != n/10 || c.Open != 0 || c.Unjoined != 1 {
		t.Errorf("%+v", c)
	}
}

func TestPagesThatAreOutOfOrderAreJoinedInOrder(t *testing.T) {
	var sink memory
	c := &capturing{opts: Options{}.withDefaults(time.UnixMilli(0))}
	track := &track{joiner: newJoiner(Function{"f", "g"}, &c.opts, nil, window{0, math.MaxInt64}, sink.Write)}
	r := &reading{pages: make(chan []logEvent, 3)}
	r.pages <- []logEvent{{"1", "s", httpEvent(1), 1000}} // says nothing of whose it is
	r.pages <- []logEvent{{"0", "s", start(id1), 999}}
	r.pages <- []logEvent{{"2", "s", report(id1), 5000}}
	close(r.pages)
	if err := c.join(t.Context(), track, r); err != nil {
		t.Fatal(err)
	}
	if err := track.finish(true); err != nil || len(sink.invs) != 1 || track.counts.Unjoined != 0 {
		t.Errorf("%d invocations, %+v, %v", len(sink.invs), track.counts, err)
	}
}
