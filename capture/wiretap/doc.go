// Package wiretap sees what passes between a client and a server without standing in the way.
//
// A [Pump] accepts connections and passes their bytes to the server and back as they are. It does not know what they
// mean, so there is nothing that it could change, hold up or fail at: status codes, headers, trailers, streams and
// half-closed connections pass by construction. A copy of the bytes goes into a [Tap], which never makes the pump
// wait: what does not fit is not copied, and it is known that it was not.
//
// Whoever observes takes [Segment] after segment out of the tap, in the order in which they passed, in this process
// or, through an [Encoder] and a [Decoder], in another one that may be slow, hang or die. An [Assembler] makes
// segments into exchanges again: one [Exchange] is an HTTP/1.1 request and its answer. Where copies are missing it
// goes on with the first request that begins after the server was the last to speak.
//
// A [Wire] is all of it in one process.
package wiretap
