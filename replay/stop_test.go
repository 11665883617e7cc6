package replay

import (
	"strings"
	"testing"
	"time"

	"tandem/capture"
)

func TestStopRulesAreReadAsTheyAreWritten(t *testing.T) {
	for _, text := range []string{
		"errors>5%/30s", "errors>0.5%/1m", "errors>0/1h", "transport_error>10/1m30s", "throttled>99.9%/500ms", "errors>7%/1h1m",
	} {
		rule, err := ParseStopRule(text)
		if err != nil || rule.String() != text {
			t.Errorf("%s is read as %s, %v", text, rule, err)
		}
	}
	tests := []struct{ name, text, want string }{
		{"nothing", "", "is not a rule like"},
		{"no window", "errors>5%", "is not a rule like"},
		{"a window that is no time", "errors>5%/30", `"30" is not a time`},
		{"no window at all", "errors>5%/0s", `"0s" is not a time`},
		{"not a status", "wrong>5%/1m", "neither errors nor a status"},
		{"more than all", "errors>100%/1m", "cannot fail"},
		{"less than none", "errors>-1/1m", "is not a rule like"},
		{"too many", "errors>99999999999999999999/1m", "out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseStopRule(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func FuzzParseStopRule(f *testing.F) {
	f.Add("errors>5%/30s")
	f.Add("timeout>12/1h0m0.5s")
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := ParseStopRule(text)
		if err != nil {
			return
		}
		again, err := ParseStopRule(rule.String())
		if err != nil || again.String() != rule.String() {
			t.Errorf("%q is %s, which is %s, %v", text, rule, again, err)
		}
	})
}

func TestTripwire(t *testing.T) {
	ok, failed, refused := capture.StatusOK, capture.StatusFunctionError, capture.StatusThrottled
	unsent := capture.StatusUnreplayable
	type end struct {
		n      int
		each   time.Duration // after the one before
		status capture.Status
	}
	tests := []struct {
		name, rule string
		ends       []end
		want       string
	}{
		{"nothing fails", "errors>5%/30s", []end{{1000, time.Second, ok}}, ""},
		{"what cannot be sent is no failure", "errors>0/30s", []end{{1000, time.Millisecond, unsent}}, ""},
		{"as many as may fail", "errors>3/30s", []end{{3, time.Second, failed}}, ""},
		{"one more", "errors>3/30s", []end{{4, time.Second, failed}}, "4 of 4 trials failed within 30s"},
		{"over a longer time", "errors>3/30s", []end{{40, 10 * time.Second, failed}}, ""},
		{"of too few, a share says nothing", "errors>5%/30s", []end{{18, time.Second / 10, ok}, {1, 0, failed}}, ""},
		{"of enough, it does", "errors>5%/30s", []end{{18, time.Second / 10, ok}, {2, 0, failed}}, "2 of 20 trials"},
		{"as large a share as may fail", "errors>5%/30s", []end{{19, time.Second / 10, ok}, {1, 0, failed}}, ""},
		{"what was long ago does not count", "errors>5%/30s",
			[]end{{19, 0, ok}, {1, 0, failed}, {1, time.Minute, failed}, {19, 0, ok}}, ""},
		{"another status does not count", "throttled>0/30s", []end{{5, 0, failed}}, ""},
		{"the status does", "throttled>0/30s", []end{{5, 0, failed}, {1, 0, refused}}, "1 of 6 trials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rule, err := ParseStopRule(tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			wire, now, why := &tripwire{rule: rule}, time.Duration(0), ""
			for _, e := range tt.ends {
				for range e.n {
					now += e.each
					why = wire.see(now, &Trial{Outcomes: map[string]*capture.Outcome{
						"lambda": {Status: ok}, "functions": {Status: e.status},
					}})
				}
			}
			if (why == "") != (tt.want == "") || !strings.Contains(why, tt.want) {
				t.Errorf("it says %q, want %q", why, tt.want)
			}
		})
	}
}
