package drain

import (
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// A hold is a message that was received and is not yet settled: deleted, refused or given back.
type hold struct {
	id string

	// What follows is guarded by the held that it is in.
	handle   string    // of the latest delivery: only that one deletes
	due      time.Time // when SQS gives the message to others
	recorded bool      // it is on disk, and waits to be deleted
}

// held is all that is held. It is safe for concurrent use.
type held struct {
	mu      sync.Mutex
	byID    map[string]*hold
	settled time.Time // when the last was deleted, or given up
}

// A delivery is what one request received.
type delivery struct {
	fresh []types.Message // to be recorded
	again []*hold         // recorded before, and held now to be deleted
	known int             // deliveries of messages that are held
}

func (d delivery) received() int { return len(d.fresh) + len(d.again) + d.known }

// admit takes what was received into h.
func (h *held) admit(messages []types.Message, due time.Time, known *IDs) (delivery, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var d delivery
	for _, m := range messages {
		if old := h.byID[*m.MessageId]; old != nil {
			old.handle, old.due = *m.ReceiptHandle, due
			d.known++
			continue
		}
		recorded, err := known.Has(*m.MessageId)
		if err != nil {
			return d, err
		}
		taken := &hold{id: *m.MessageId, handle: *m.ReceiptHandle, due: due, recorded: recorded}
		h.byID[taken.id] = taken
		if recorded {
			d.again = append(d.again, taken)
		} else {
			d.fresh = append(d.fresh, m)
		}
	}
	return d, nil
}

func (h *held) get(id string) *hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byID[id]
}

// setRecorded notes that messages are on disk.
func (h *held) setRecorded(holds []*hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range holds {
		one.recorded = true
	}
}

// handles returns what deletes each of holds now.
func (h *held) handles(holds []*hold) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]string, len(holds))
	for i, one := range holds {
		all[i] = one.handle
	}
	return all
}

// drop forgets a message that is settled, or left to the queue. With a handle, it does so only if no later delivery
// brought another.
func (h *held) drop(one *hold, handle string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if handle != "" && one.handle != handle {
		return false
	}
	delete(h.byID, one.id)
	if one.recorded {
		h.settled = time.Now()
	}
	return true
}

// dueBefore returns what others would get before t.
func (h *held) dueBefore(t time.Time) []*hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*hold
	for _, one := range h.byID {
		if one.due.Before(t) {
			all = append(all, one)
		}
	}
	return all
}

// extend notes that a message is kept from others until due.
func (h *held) extend(one *hold, due time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.due = due
}

// unrecorded returns what is to be given back.
func (h *held) unrecorded() []*hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*hold
	for _, one := range h.byID {
		if !one.recorded {
			all = append(all, one)
		}
	}
	return all
}

// idleSince returns since when nothing was settled; false while something is held.
func (h *held) idleSince() (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.settled, len(h.byID) == 0
}
