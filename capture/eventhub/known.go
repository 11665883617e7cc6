package eventhub

import "crypto/sha256"

// A known is a set of names that forgets the oldest, so that it takes no more than so much memory: about 40 bytes a
// name.
type known struct {
	limit      int // names are forgotten by halves of it
	young, old map[name]struct{}
}

// A name stands for one of any length.
type name [16]byte

func newKnown(limit int) *known { return &known{limit: max(limit, 2), young: make(map[name]struct{})} }

func nameOf(text string) name {
	sum := sha256.Sum256([]byte(text))
	return name(sum[:len(name{})])
}

func (k *known) has(text string) bool {
	n := nameOf(text)
	if _, ok := k.young[n]; ok {
		return true
	}
	_, ok := k.old[n]
	return ok
}

func (k *known) add(text string) {
	if len(k.young) >= k.limit/2 {
		k.young, k.old = make(map[name]struct{}), k.young
	}
	k.young[nameOf(text)] = struct{}{}
}
