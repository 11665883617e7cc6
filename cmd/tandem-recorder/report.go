package main

import "time"

// A command tells a worker what Lambda has told the extension: one of Invoke and Shutdown is set. It travels among
// what has passed, so that a worker that comes to it has seen all that passed before.
type command struct {
	N        int       `json:"n"`
	Worker   int       `json:"worker"`             // the number of the worker that it is for
	Invoke   string    `json:"invoke,omitempty"`   // the request ID
	Shutdown string    `json:"shutdown,omitempty"` // the reason
	Deadline time.Time `json:"deadline"`           // when the report is due
	// Seen is how many invocations must have passed by now, and Settled what earlier workers have accounted for of them.
	Seen    int64 `json:"seen"`
	Settled int64 `json:"settled"`
	Lost    int64 `json:"lost"` // by earlier workers
}

// A report answers the command N, or, with 0, says that the worker is alive. Counts are since it was started.
type report struct {
	N        int              `json:"n"`
	Recorded int64            `json:"recorded"` // durable
	Sampled  int64            `json:"sampled"`  // left out by the config
	Replays  int64            `json:"replays"`
	Waiting  int64            `json:"waiting"` // for the sink, or for the function to answer
	Lost     map[string]int64 `json:"lost"`    // by reason
	// Told and Untold count completions that a replay has taken, and that are lost. They are in no other count.
	Told   int64 `json:"told,omitempty"`
	Untold int64 `json:"untold,omitempty"`
}

// settled returns how many invocations will not change their place any more.
func (r *report) settled() int64 { return r.Recorded + r.Sampled + r.Replays + r.lost() }

func (r *report) lost() (n int64) {
	for _, lost := range r.Lost {
		n += lost
	}
	return n
}

func (r *report) lose(reason string, n int64) {
	if r.Lost == nil {
		r.Lost = make(map[string]int64)
	}
	r.Lost[reason] += n
}

func (r *report) add(other report) {
	r.Recorded += other.Recorded
	r.Sampled += other.Sampled
	r.Replays += other.Replays
	r.Waiting += other.Waiting
	r.Told += other.Told
	r.Untold += other.Untold
	for reason, n := range other.Lost {
		r.lose(reason, n)
	}
}
