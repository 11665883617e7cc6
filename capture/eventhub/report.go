package eventhub

import "tandem/capture"

// A Report says how complete a capture is. Its JSON form is a promise.
type Report struct {
	Hub        string                `json:"hub"`
	Partitions map[string]*Partition `json:"partitions"`
	Functions  map[string]*Function  `json:"functions"`

	Events    int64          `json:"events"`    // of the hub, that were read
	Documents map[Kind]int64 `json:"documents"` // that were in them, by kind; requests, log lines, messages
	// Other counts log lines that are about no invocation, or add nothing.
	Other int64 `json:"other"`
	// Repeated counts documents about invocations that were recorded before, by this run or an earlier one.
	Repeated int64 `json:"repeated"`
	// Left counts the documents that nothing was made of, by why, and First says where the first of them is: partition
	// and sequence number.
	Left  map[Reason]int64  `json:"left"`
	First map[Reason]string `json:"first"`
	// Complete is true when nothing that was seen is missing, unknown or expired.
	Complete bool `json:"complete"`
}

// A Partition says what was read of one partition. Sequence numbers count the hub's events.
type Partition struct {
	From   int64 `json:"from"` // the first and the last sequence number; -1 where there is none
	To     int64 `json:"to"`
	Events int64 `json:"events"`
	// Expired counts the events that were gone from the hub before they could be read, as far as that can be known.
	Expired int64 `json:"expired"`
	// Checkpoint is the sequence number up to which nothing is read again, -1 for none.
	Checkpoint int64 `json:"checkpoint"`
}

// A Function compares the invocations of a function that were seen with those that were recorded. Invocations is
// always the sum of Recorded, Missing and Open.
type Function struct {
	Invocations int64 `json:"invocations"`
	Recorded    int64 `json:"recorded"`
	Missing     int64 `json:"missing"` // the host told of them, but no record has the event
	Open        int64 `json:"open"`    // neither yet: they come again when the capture goes on
	Broken      int64 `json:"broken"`  // of the missing, those whose event was cut off or cannot be made

	// Of the recorded:
	Failed    int64                    `json:"failed"`    // that ended with an error
	Unended   int64                    `json:"unended"`   // whose end, or whose answer, did not come
	Ambiguous int64                    `json:"ambiguous"` // that logged several events, or one with two readings
	Unpinned  int64                    `json:"unpinned"`  // whose blob was gone or another one already
	Formats   map[capture.Format]int64 `json:"formats"`
}

func newReport(hub string) *Report {
	return &Report{
		Hub: hub, Partitions: make(map[string]*Partition), Functions: make(map[string]*Function),
		Documents: make(map[Kind]int64), Left: make(map[Reason]int64), First: make(map[Reason]string),
	}
}

// function returns the counts for a function, which are made when there are none. One without a name is "?".
func (r *Report) function(name string) *Function {
	if name == "" {
		name = "?"
	}
	f := r.Functions[name]
	if f == nil {
		f = &Function{Formats: make(map[capture.Format]int64)}
		r.Functions[name] = f
	}
	return f
}

// recorded counts an invocation that was recorded.
func (f *Function) recorded(inv *capture.Invocation) {
	f.Invocations++
	f.Recorded++
	f.Formats[inv.Format]++
	count(&f.Failed, inv.Outcome != nil && (inv.Outcome.Status == capture.StatusFunctionError ||
		inv.Outcome.Status == capture.StatusTimeout))
}

func count(n *int64, is bool) {
	if is {
		*n++
	}
}

// leave counts a document that nothing was made of.
func (r *Report) leave(f finding, e *event) (first bool) {
	r.Left[f.left]++
	if r.First[f.left] == "" {
		r.First[f.left] = e.place()
		return true
	}
	return false
}

// Recorded is how many invocations were recorded.
func (r *Report) Recorded() (n int64) {
	for _, f := range r.Functions {
		n += f.Recorded
	}
	return n
}

// Lost is how many invocations were seen and could not be recorded.
func (r *Report) Lost() (n int64) {
	for _, f := range r.Functions {
		n += f.Missing
	}
	for why, c := range r.Left {
		if why.Lost() {
			n += c
		}
	}
	return n
}

// close fills in what is only known at the end.
func (r *Report) close(open map[string]int64) {
	for name, n := range open {
		f := r.function(name)
		f.Open = n
		f.Invocations += n
	}
	r.Complete = r.Lost() == 0 && r.Left[leftUnknown] == 0 && len(open) == 0
	for _, p := range r.Partitions {
		r.Complete = r.Complete && p.Expired == 0
	}
}
