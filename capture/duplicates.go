package capture

import (
	"fmt"
	"hash/maphash"
)

// A Seen remembers keys in 8 MiB, however many there are. It may take a key for one that it has seen, but never the
// other way round: after a million keys it does so for about one new key in two million, after ten million for one
// in twenty. It is a Bloom filter. The zero value has seen nothing. It is not safe for concurrent use.
type Seen struct {
	bits []uint64
	seed maphash.Seed
}

const (
	seenBits   = 1 << 26
	seenProbes = 6
)

// Add adds key and reports whether it may have been added before.
func (s *Seen) Add(key []byte) (maybeSeen bool) {
	if s.bits == nil {
		s.bits = make([]uint64, seenBits/64)
		s.seed = maphash.MakeSeed()
	}
	hash := maphash.Bytes(s.seed, key)
	at, step := uint32(hash), uint32(hash>>32)|1
	maybeSeen = true
	for range seenProbes {
		i := at % seenBits
		if s.bits[i/64]&(1<<(i%64)) == 0 {
			maybeSeen = false
			s.bits[i/64] |= 1 << (i % 64)
		}
		at += step
	}
	return maybeSeen
}

// A Place is a line in a file.
type Place struct {
	File string
	Line int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Duplicates finds keys that occur more than once in a sequence that can be read again. It needs 8 MiB for keys and a
// bounded number of suspects, whatever the length of the sequence; the price is a second pass when a key looks like
// one seen before, and one more for every 65,536 such keys, which below ten million keys is rare. Each pass gives all
// keys in the same order:
//
//	var d Duplicates
//	for d.NextPass() {
//		for key, place := range … {
//			if first, twice := d.Add(key, place); twice { … }
//		}
//	}
//
// The zero value is ready for use.
type Duplicates struct {
	seen     Seen
	suspects map[string]Place // keys to settle in this pass, with the place of the first, once it was met
	found    map[string]Place // suspects for the next pass
	started  bool
	full     bool // found takes no more in this pass
	n        int64
	added    int64 // so many of the first keys are in seen
}

const maxSuspects = 1 << 16

// NextPass reports whether the sequence has to be read, for the first time or again.
func (d *Duplicates) NextPass() bool {
	if d.started && len(d.found) == 0 && !d.full {
		return false
	}
	d.suspects, d.found = d.found, make(map[string]Place)
	d.started, d.full, d.n = true, false, 0
	return true
}

// Add takes the next key of a pass. When it is certain that the key occurred before, it returns where it did first.
// It does not keep key.
func (d *Duplicates) Add(key []byte, at Place) (first Place, twice bool) {
	d.n++
	if first, ok := d.suspects[string(key)]; ok {
		if first.Line > 0 {
			return first, true
		}
		d.suspects[string(key)] = at
	}
	if d.full || d.n <= d.added {
		return Place{}, false
	}
	d.added = d.n
	if d.seen.Add(key) {
		d.found[string(key)] = Place{}
		d.full = len(d.found) >= maxSuspects
	}
	return Place{}, false
}
