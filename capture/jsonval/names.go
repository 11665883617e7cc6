package jsonval

import "bytes"

// A NameSet tells which names may be those of members in a text, and which are not. It is a Bloom filter of one word.
type NameSet uint64

// NameOf returns the set of one name.
func NameOf[T string | []byte](name T) NameSet {
	if len(name) == 0 {
		return 1
	}
	return 1 << ((7*len(name) + 13*int(name[0]) + 29*int(name[len(name)-1])) % 64)
}

// anyName is what a name with escapes may be.
const anyName = ^NameSet(0)

// Add adds a name as it is written, without its quotes.
func (s *NameSet) Add(name []byte) {
	if bytes.IndexByte(name, '\\') >= 0 {
		*s = anyName
		return
	}
	*s |= NameOf(name)
}

// Has reports whether one of others may be in s.
func (s NameSet) Has(others NameSet) bool { return s&others != 0 }

// HasEscapes reports whether a name in s may be written otherwise than it is.
func (s NameSet) HasEscapes() bool { return s == anyName }
