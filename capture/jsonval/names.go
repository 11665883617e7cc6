package jsonval

import "bytes"

// A NameSet tells which names may be those of members in a text, and which are not. It is a Bloom filter of one word,
// with two bits for each name.
type NameSet uint64

// NameOf returns the set of one name.
func NameOf[T string | []byte](name T) NameSet {
	if len(name) == 0 {
		return 1
	}
	first, middle, last := int(name[0]), int(name[len(name)/2]), int(name[len(name)-1])
	return 1<<((7*len(name)+13*first+29*last)%64) | 1<<((3*len(name)+31*middle+5*last)%64)
}

// anyName is the set of all names.
const anyName = ^NameSet(0)

// Add adds a name as it is written, without its quotes. One with escapes may be any.
func (s *NameSet) Add(name []byte) {
	if bytes.IndexByte(name, '\\') >= 0 {
		*s = anyName
		return
	}
	*s |= NameOf(name)
}

// Has reports whether a name, of which [NameOf] is given, may be in s.
func (s NameSet) Has(name NameSet) bool { return s&name == name }

// HasEscapes reports whether a name in s may be written otherwise than it is.
func (s NameSet) HasEscapes() bool { return s == anyName }
