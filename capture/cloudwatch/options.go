package cloudwatch

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"tandem/capture"
)

// A Function is a Lambda function and the log group that it writes to.
type Function struct {
	Name string
	// Group is the name or the ARN of the log group: /aws/lambda/ and the name unless set. Several functions may
	// share a group; their log streams then say whose they are.
	Group string
}

// A Sink takes what is captured. A [capture.Writer] is one.
type Sink interface {
	Write(*capture.Invocation) error
	// Flush returns when a kill of the process no longer loses what was written.
	Flush() error
	// AddLost counts invocations that were seen and could not be recorded.
	AddLost(n int64)
}

// Options say what to capture. Client, Functions, From and Sink are required.
type Options struct {
	Client    cloudwatchlogs.FilterLogEventsAPIClient
	Functions []Function
	// Invocations that started from From on and before To are captured. To is now unless set; with Follow and
	// without To, the capture goes on until its context ends.
	From, To time.Time
	Follow   bool
	// Pattern finds the event, in its group named event, in place of shapes; a group named response finds the answer.
	Pattern *regexp.Regexp
	Sink    Sink
	// Dir is the folder of the recording, which then also keeps the cursor. Without one, a capture cannot be resumed.
	Dir string
	// Identities open the recording, if it is encrypted. They are needed only to go on after a kill.
	Identities []age.Identity
	// Rate is how many requests a second may be made: 5 unless set, which is the quota of an account and region.
	Rate float64
	// Windows is how many windows are read at once: 4 unless set, which uses the quota up at usual latencies.
	Windows int
	// Poll is how often Follow looks for more: 5 s unless set. Overlap is how long log events may take to appear:
	// Follow reads so far back again, and takes nothing for final that is younger; a minute unless set.
	Poll, Overlap time.Duration
	// Settle is how much log time an attempt is kept after its REPORT, for lines out of order: 5 s unless set. Grace
	// is how long after its START a REPORT may come: 16 minutes unless set, as a function runs 15 at most.
	Settle, Grace time.Duration
	// MaxPending is how many bytes of events and answers may wait for a REPORT: 64 MiB unless set. When there are
	// more, the oldest attempts are recorded as they are.
	MaxPending int
	// RetryDelay is the first wait after a request failed; it doubles from there. 250 ms unless set.
	RetryDelay time.Duration
	// Logf is told what a user may want to know meanwhile. Nil tells nobody.
	Logf func(format string, args ...any)

	saveEvery time.Duration // how often the cursor is saved at most
}

// Validate checks what defaults cannot mend, before anything is made. Client and Sink are not looked at.
func (o *Options) Validate() error {
	switch {
	case len(o.Functions) == 0:
		return errors.New("capture logs: no function")
	case o.From.IsZero():
		return errors.New("capture logs: no time to begin at")
	case !o.To.IsZero() && !o.From.Before(o.To):
		return fmt.Errorf("capture logs: %s is not before %s", o.From.Format(time.RFC3339), o.To.Format(time.RFC3339))
	case o.Pattern != nil && !slices.Contains(o.Pattern.SubexpNames(), "event"):
		return errors.New(`the pattern has no group named event, as in (?P<event>\{.*\})`)
	}
	names := make(map[string]bool)
	for _, f := range o.Functions {
		if f.Name == "" || names[f.Name] {
			return fmt.Errorf("capture logs: function %q has no name or is named twice", f.Name)
		}
		names[f.Name] = true
	}
	return nil
}

func (o Options) withDefaults(now time.Time) Options {
	o.Functions = slices.Clone(o.Functions)
	for i, f := range o.Functions {
		if f.Group == "" {
			o.Functions[i].Group = "/aws/lambda/" + f.Name
		}
	}
	if o.To.IsZero() && !o.Follow {
		o.To = now
	}
	set(&o.Rate, 5)
	set(&o.Windows, 4)
	set(&o.Poll, 5*time.Second)
	set(&o.Overlap, time.Minute)
	set(&o.Settle, 5*time.Second)
	set(&o.Grace, 16*time.Minute)
	set(&o.MaxPending, 64<<20)
	set(&o.RetryDelay, 250*time.Millisecond)
	set(&o.saveEvery, 2*time.Second)
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	return o
}

// set gives an option its default.
func set[T int | float64 | time.Duration](option *T, value T) {
	if *option <= 0 {
		*option = value
	}
}
