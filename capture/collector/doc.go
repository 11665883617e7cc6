// Package collector moves invocations over HTTP from where they are recorded to where a recording is kept.
//
// A [Client] posts batches to URL/invocations. The body is lines of a recording, plain or, with "Content-Encoding:
// zstd", compressed; the headers may say which recorder it is ([HeaderInstance]) and how many invocations that one
// has lost so far ([HeaderLost]); with a token there is "Authorization: Bearer TOKEN". A [Server] answers 200 once
// all of a batch is safe from a failure of its machine. A batch may be posted again, whole or with others:
// invocations are told apart by their IDs, and each is recorded once.
//
// The server answers 400 to a batch that can never be taken and 413 to one that is too large; 401 without the token;
// 503 when the recording cannot be written. Bodies of errors are text.
package collector

import "tandem/capture/journal"

// The headers of the protocol, beside those of HTTP.
const (
	HeaderInstance = "Tandem-Instance" // any text that is unique to one recorder
	HeaderLost     = "Tandem-Lost"     // a decimal number, which never falls
)

// MaxBatch is the most that the lines of a batch may have, in bytes, before compression: as much as one line can
// have.
const MaxBatch = journal.MaxLine

const path = "/invocations"
