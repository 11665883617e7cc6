package wiretap

import "net/http"

// An Exchange is one request and its answer.
type Exchange struct {
	Conn uint64
	// Request is the request without its body. Its Trailer is complete when RequestBody.Whole is true.
	Request     *http.Request
	RequestBody Body
	// Response is the answer without its body; nil if there was none. Interim answers (100 to 199, but not 101) are
	// left out.
	Response     *http.Response
	ResponseBody Body
	// Broken is nil when both were seen to their ends; else it says why they were not.
	Broken error
}

// A Body is the body of a message, without the encoding of its transfer.
type Body struct {
	Bytes []byte // the beginning, up to the limit of the Assembler
	Size  int64  // how much has passed
	Whole bool   // the message has come to its end
	// First and Last are when the first and the last byte of the message passed, header included.
	First, Last Moment
}

// Cut tells whether more has passed than is kept.
func (b *Body) Cut() bool { return b.Size > int64(len(b.Bytes)) }

// An Observer is told what an Assembler makes out, by one goroutine at a time. Functions that are nil are not called.
type Observer struct {
	// Opened and Closed tell of connections. One that is resumed is not opened again.
	Opened, Closed func(conn uint64)
	// Asked tells that a request has been seen to its end, and its answer has not.
	Asked func(*Exchange)
	// Done tells of an exchange that is over, broken or not. The observer may keep it. For requests of one connection it
	// is called in their order.
	Done func(*Exchange)
}
