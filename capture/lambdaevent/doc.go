// Package lambdaevent writes the events that Lambda makes of SQS messages and of S3 notifications, for sources that see
// the message or the object and not the event: a tap on a queue, a bucket's listing, what Azure handled.
//
// A field that is not known is left out where AWS leaves it out too, and empty where AWS always has it.
package lambdaevent

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// records makes an event of its records. Characters such as < stay as they are.
func records[R any](rs []R) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(struct{ Records []R }{rs}); err != nil {
		return nil, fmt.Errorf("make an event: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
