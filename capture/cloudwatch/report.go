package cloudwatch

import (
	"time"

	"tandem/capture"
)

// A Report says how complete a capture is, by function. Its JSON form is a promise.
type Report struct {
	Functions map[string]*Completeness `json:"functions"`
	// Complete is true when every invocation that the logs saw was recorded.
	Complete  bool  `json:"complete"`
	Requests  int64 `json:"requests"`
	Throttled int64 `json:"throttled"`
}

// Completeness compares the invocations that a function's logs saw with those that were recorded. Each attempt of an
// asynchronous invocation counts. Invocations is always the sum of Events, Missing and Open.
type Completeness struct {
	Group string `json:"logGroup"`
	// The range of time that was read, over all runs that wrote to the recording.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`

	Invocations int64 `json:"invocations"` // START lines
	Events      int64 `json:"events"`      // of these, recorded
	Missing     int64 `json:"missing"`     // of these, without an event in the logs
	Open        int64 `json:"open"`        // of these, neither yet: their REPORT was not read
	Broken      int64 `json:"broken"`      // of the missing, those whose event was cut off or is not JSON

	// WithoutStart counts invocations that were recorded though no START line names them, because they started
	// before the range or the platform's lines are not in the logs.
	WithoutStart int64 `json:"withoutStart"`
	// Unjoined counts events that were found and not recorded, because nothing says which invocation had them.
	Unjoined int64 `json:"unjoined"`

	// Gaps counts the invocations that tandem-recorder wrote to the log and of which a line is missing or damaged.
	Gaps int64 `json:"gaps"`

	// Of the recorded invocations:
	Answers    int64                    `json:"answers"`    // whose answer was found
	Ambiguous  int64                    `json:"ambiguous"`  // that logged several different events or answers
	Failed     int64                    `json:"failed"`     // that ended with an error
	TimedOut   int64                    `json:"timedOut"`   // that the platform stopped
	ColdStarts int64                    `json:"coldStarts"` // that had to wait for an environment
	Unreported int64                    `json:"unreported"` // without a REPORT line
	Formats    map[capture.Format]int64 `json:"formats"`
}

// Recorded is how many invocations were recorded.
func (c *Completeness) Recorded() int64 { return c.Events + c.WithoutStart }
