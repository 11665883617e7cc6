package replay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/distill"
)

// A Selection says which invocations of a recording are replayed. The zero value takes all.
type Selection struct {
	// Only has conditions, such as "function=create-order". Those with one key are alternatives, and for each key that
	// occurs one has to hold. The keys are function, trigger, format, status (of the recorded outcome), id, and from
	// and to, which take RFC 3339 times.
	Only []string
	// Sample is the share of what Only leaves that is taken, above 0 and up to 1; 0 takes all. Invocations that
	// share their first lane are taken together or not at all. The same Seed takes the same ones.
	Sample float64
	Seed   uint64
}

// A selector is a Selection that is ready for use.
type selector struct {
	only  distill.Selection
	below uint64 // of the hash of what is sampled; 0 for no sampling
	seed  uint64
}

func (s *Selection) selector() (*selector, error) {
	if s.Sample < 0 || s.Sample > 1 || math.IsNaN(s.Sample) {
		return nil, fmt.Errorf("a sample of %v is not a share above 0 and up to 1", s.Sample)
	}
	sel := &selector{seed: s.Seed}
	if s.Sample > 0 && s.Sample < 1 {
		sel.below = max(1, uint64(s.Sample*(1<<63))*2)
	}
	for _, condition := range s.Only {
		if err := sel.condition(condition); err != nil {
			return nil, fmt.Errorf("only %s: %w", condition, err)
		}
	}
	return sel, nil
}

func (s *selector) condition(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || value == "" {
		return errors.New("it is not KEY=VALUE, such as function=create-order")
	}
	only, err := &s.only, error(nil)
	switch key {
	case "function":
		only.Functions = append(only.Functions, value)
	case "trigger":
		only.Triggers = append(only.Triggers, capture.Trigger(value))
	case "format":
		only.Formats = append(only.Formats, capture.Format(value))
	case "status":
		only.Statuses = append(only.Statuses, capture.Status(value))
	case "id":
		only.IDs = append(only.IDs, value)
	case "from":
		only.From, err = time.Parse(time.RFC3339, value)
	case "to":
		only.To, err = time.Parse(time.RFC3339, value)
	default:
		err = fmt.Errorf("%q is none of function, trigger, format, status, id, from, to", key)
	}
	return err
}

// has reports whether inv, which has these lanes, is selected.
func (s *selector) has(inv *capture.Invocation, lanes []string) bool {
	if !s.only.Has(inv) {
		return false
	}
	if s.below == 0 {
		return true
	}
	key := inv.ID
	if len(lanes) > 0 {
		key = lanes[0]
	}
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, s.seed), key...))
	return binary.BigEndian.Uint64(sum[:]) < s.below
}

func (s *selector) takesAll() bool { return s.below == 0 && s.only.All() }

// count reads the recording and returns how many invocations are selected. It is an error when none are, and when a
// function or an ID that is named is not there.
func (s *selector) count(ctx context.Context, rec *capture.Recording) (int64, error) {
	var selected int64
	functions, ids := make(map[string]int64), slices.Clone(s.only.IDs)
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		functions[inv.Function]++
		if i := slices.Index(ids, inv.ID); i >= 0 {
			ids = slices.Delete(ids, i, i+1)
		}
		if s.has(inv, LanesOf(inv)) {
			selected++
		}
	}
	if err := s.only.Check(functions); err != nil {
		return 0, err
	}
	if len(ids) > 0 {
		return 0, fmt.Errorf("the recording has no invocation with the ID %s", ids[0])
	}
	if selected == 0 {
		return 0, errors.New("nothing of the recording is selected")
	}
	return selected, nil
}
