package capture

import (
	"errors"
	"maps"
	"slices"
)

// A Redactor replaces secrets in invocations. It is called concurrently.
type Redactor interface {
	// Redact returns inv with secrets replaced, and how many of each kind were. It changes neither inv nor what it
	// leads to, and returns inv itself when there are none. The result has inv's ID.
	Redact(inv *Invocation) (*Invocation, map[string]int64)
	// Key says where the key of the replacements is from, and tells keys apart without giving them away.
	Key() (source KeySource, id string)
}

// A KeySource says who has the key of a redaction.
type KeySource string

const (
	KeyRandom  KeySource = "random"  // nobody: no other recording has the same tokens
	KeyGiven   KeySource = "given"   // the user
	KeySeveral KeySource = "several" // parts of the recording were redacted with keys of both kinds
)

// A Redaction says what was replaced in a recording, and never what it was.
type Redaction struct {
	Key KeySource `json:"key"`
	// KeyIDs tell keys apart. Where there are several, equal values have equal tokens only within what was redacted
	// with one.
	KeyIDs []string `json:"keyIds"`
	// Replaced is how many values were replaced, by what they were known by: "authorization header", "form:jwt".
	Replaced map[string]int64 `json:"replaced"`
	// Mixed is set when the recording also has invocations of a recording in which nothing was replaced.
	Mixed bool `json:"mixed,omitempty"`
}

// Add makes r, which said something of one recording, say it of that and another one together. More is about the
// other; nil means that nothing was replaced there.
func (r *Redaction) Add(more *Redaction) {
	if more == nil {
		r.Mixed = true
		return
	}
	switch r.Key {
	case "":
		r.Key = more.Key
	case more.Key:
	default:
		r.Key = KeySeveral
	}
	for _, id := range more.KeyIDs {
		if !slices.Contains(r.KeyIDs, id) {
			r.KeyIDs = append(r.KeyIDs, id)
		}
	}
	if r.Replaced == nil {
		r.Replaced = make(map[string]int64)
	}
	for kind, n := range more.Replaced {
		r.Replaced[kind] += n
	}
	r.Mixed = r.Mixed || more.Mixed
}

func (r *Redaction) clone() *Redaction {
	if r == nil {
		return nil
	}
	c := *r
	c.KeyIDs, c.Replaced = slices.Clone(r.KeyIDs), maps.Clone(r.Replaced)
	return &c
}

// redact notes how what will be written was or will be redacted. It is an error when the recording has invocations of
// the other kind: nobody could tell any more whether it is safe.
func (m *Manifest) redact(opts CreateOptions) error {
	more := opts.Redaction.clone()
	if opts.Redactor != nil {
		source, id := opts.Redactor.Key()
		if more == nil {
			more = new(Redaction)
		}
		more.Add(&Redaction{Key: source, KeyIDs: []string{id}})
	}
	switch was := m.Redaction; {
	case m.Counts.Invocations == 0 || was == nil && more == nil:
		m.Redaction = more
	case was == nil:
		return errors.New("it was recorded without redaction: go on with --no-redact, or record into another one")
	case more == nil && !was.Mixed:
		return errors.New("it was recorded with redaction: go on without --no-redact, or record into another one")
	default:
		was.Add(more)
	}
	return nil
}
