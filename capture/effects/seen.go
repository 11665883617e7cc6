package effects

import "hash/maphash"

// A seen remembers keys in 8 MiB, however many there are. It may take a key for one that it has seen, but never the
// other way round: after a million keys it does so for about one new key in two million, after ten million for one
// in twenty. It is a Bloom filter. The zero value has seen nothing. It is not safe for concurrent use.
type seen struct {
	bits []uint64
	seed maphash.Seed
}

const (
	seenBits   = 1 << 26
	seenProbes = 6
)

// add adds key and reports whether it may have been added before.
func (s *seen) add(key []byte) (maybeSeen bool) {
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
