package s3tap

import "tandem/capture/drain"

// A Report says what was seen and what became of it. Seen is always the sum of Recorded, Duplicates, LeftOut, Refused
// and Waiting. Its JSON form is a promise.
type Report struct {
	// Seen is how many notifications were received, or objects were listed. A notification that was put back and came
	// again was seen once more.
	Seen     int64 `json:"seen"`
	Recorded int64 `json:"recorded"`
	// Translated are those of Recorded whose event EventBridge wrote and S3 would write otherwise.
	Translated int64 `json:"translated,omitempty"`
	// Duplicates were delivered before.
	Duplicates int64 `json:"duplicates"`
	// LeftOut counts by why: see the constants.
	LeftOut map[LeftOut]int64 `json:"leftOut"`
	// Refused are messages that are no notification of S3. They stay in the queue.
	Refused int64 `json:"refused"`
	// Waiting are those that come again: messages whose objects could not be read, because the store did not answer, and
	// that are in the queue still; and objects that a listing was interrupted at.
	Waiting int64 `json:"waiting"`
	// Queue is about deliveries: those of Seen, and those that were recognised by the ID of their message before.
	Queue *drain.Counts `json:"queue,omitempty"`
	// Objects is about the objects of Recorded.
	Objects Objects `json:"objects"`
}

// A LeftOut says why something that was seen was not to be recorded.
type LeftOut string

const (
	TestEvent    LeftOut = "test-event"    // S3 sends it when a notification is set up
	OtherEvent   LeftOut = "other-event"   // of EventBridge, and of a kind that S3 does not notify functions of
	OutsideTime  LeftOut = "outside-time"  // before Since, or at Until or later
	OtherSuffix  LeftOut = "other-suffix"  // not Suffix
	DeleteMarker LeftOut = "delete-marker" // among versions
)

// Objects says of how many objects the recording has the bytes.
type Objects struct {
	Pinned int64 `json:"pinned"`
	Bytes  int64 `json:"bytes"`
	// Missing counts those whose bytes could not be had, by why. Their invocations cannot be replayed at a blob trigger.
	Missing map[Reason]int64 `json:"missing"`
}

func newReport() *Report {
	return &Report{LeftOut: make(map[LeftOut]int64), Objects: Objects{Missing: make(map[Reason]int64)}}
}
