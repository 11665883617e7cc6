package wiretap

import "time"

// A Kind says what a Segment tells.
type Kind byte

const (
	Open      Kind = iota + 1 // a connection has come
	Resume                    // a connection is there, and some of what passed on it before is missing
	Client                    // Data has come from the client
	Server                    // Data has come from the server
	ServerEnd                 // the server has ended its side in good order
	Close                     // a connection is over; Data is the reason if it was cut
	Note                      // Data is what [Tap.Note] was given
	lastKind  = Note
)

// A Segment is a piece of what has passed.
type Segment struct {
	Kind Kind
	Conn uint64 // from 1; 0 for a Note
	// ServerLast tells, in a Resume, that the server was the last to speak, so that what the client says next is the
	// beginning of a request.
	ServerLast bool
	At         Moment
	Data       []byte
}

// A Moment is a time by two clocks: that on the wall, which may be set, and one that only goes forward.
type Moment struct {
	Wall time.Time
	Tick time.Duration // since the tap was made
}

// Sub returns how long after earlier m was, whatever became of the clock on the wall.
func (m Moment) Sub(earlier Moment) time.Duration { return m.Tick - earlier.Tick }
