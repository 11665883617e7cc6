package keylog

// A table has the states of the keys of a range. When they are more than its limit, it goes on with the lower half of
// its range and forgets the others.
type table[S any] struct {
	limit      int
	from, last uint64 // the range, of Key.Hi
	entries    []entry[S]
	// index has, at a key's place or soon behind it, where it is in entries, plus 1. Its length is a power of two, at
	// least twice that of entries.
	index []uint32
}

type entry[S any] struct {
	key   Key
	state S
}

// begin empties the table for the keys of a range.
func (t *table[S]) begin(from, last uint64) {
	t.from, t.last = from, last
	t.entries = t.entries[:0]
	clear(t.index)
}

// at returns the state of a key, or nil if it is not in the range. It is valid until the next call.
func (t *table[S]) at(k Key) *S {
	if k.Hi < t.from || k.Hi > t.last {
		return nil
	}
	if 2*len(t.entries) >= len(t.index) {
		t.rebuild(max(64, 2*len(t.index)))
	}
	i, found := t.find(k)
	if found {
		return &t.entries[t.index[i]-1].state
	}
	if len(t.entries) >= t.limit && t.from < t.last {
		t.halve()
		return t.at(k)
	}
	t.entries = append(t.entries, entry[S]{key: k})
	t.index[i] = uint32(len(t.entries))
	return &t.entries[len(t.entries)-1].state
}

// find returns where in the index a key is, or has to go.
func (t *table[S]) find(k Key) (i uint64, found bool) {
	mask := uint64(len(t.index) - 1)
	for i = k.Lo & mask; t.index[i] != 0; i = (i + 1) & mask {
		if t.entries[t.index[i]-1].key == k {
			return i, true
		}
	}
	return i, false
}

// halve forgets the upper half of the range.
func (t *table[S]) halve() {
	t.last = t.from + (t.last-t.from)/2
	kept := t.entries[:0]
	for _, e := range t.entries {
		if e.key.Hi <= t.last {
			kept = append(kept, e)
		}
	}
	t.entries = kept
	t.rebuild(len(t.index))
}

func (t *table[S]) rebuild(size int) {
	if size == len(t.index) {
		clear(t.index)
	} else {
		t.index = make([]uint32, size)
	}
	for n, e := range t.entries {
		i, _ := t.find(e.key)
		t.index[i] = uint32(n + 1)
	}
}
