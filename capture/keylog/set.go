package keylog

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"tandem/capture/scratch"
)

const (
	// setMemory is what the keys of a set take in memory, unless they are on disk.
	setMemory = 8 << 20
	keyBytes  = 16
	pageKeys  = 256 // keys of a set that are read at a time
)

// A Set is keys. More than half a million are on disk, and then each takes some 0.06 bytes of memory. The zero value
// is empty. It has to be closed.
//
// First all keys are added, those of one partition before those of another, as [Fold] ends them, and each once; then
// Seal is called; then Has is safe for concurrent use.
type Set struct {
	// Memory bounds the keys in memory, in bytes; default 8 MiB.
	Memory int

	partition uint64
	added     []Key // of the partition, in no order
	keys      []Key // in order, behind those in the file
	firsts    []Key // of the pages in the file
	file      *scratch.File
	pages     sync.Pool // of *[pageKeys * keyBytes]byte
}

// Add adds a key.
func (s *Set) Add(k Key) error {
	if p := k.Hi >> (64 - partitionBits); p != s.partition {
		if err := s.settle(); err != nil {
			return err
		}
		s.partition = p
	}
	s.added = append(s.added, k)
	return nil
}

// Seal ends adding.
func (s *Set) Seal() error {
	err := s.settle()
	s.added = nil
	return err
}

// Len returns the number of keys.
func (s *Set) Len() int { return len(s.firsts)*pageKeys + len(s.keys) + len(s.added) }

// settle takes over a partition.
func (s *Set) settle() error {
	slices.SortFunc(s.added, Key.compare)
	s.keys = append(s.keys, s.added...)
	s.added = s.added[:0]
	memory := s.Memory
	if memory <= 0 {
		memory = setMemory
	}
	if len(s.keys) <= max(1, memory/keyBytes) && s.file == nil {
		return nil
	}
	return s.spill()
}

// spill writes the pages that are full.
func (s *Set) spill() error {
	if s.file == nil {
		file, err := scratch.Create()
		if err != nil {
			return err
		}
		s.file = file
		s.pages.New = func() any { return new([pageKeys * keyBytes]byte) }
	}
	page := s.pages.Get().(*[pageKeys * keyBytes]byte)
	defer s.pages.Put(page)
	rest := s.keys
	for ; len(rest) >= pageKeys; rest = rest[pageKeys:] {
		for i, k := range rest[:pageKeys] {
			binary.LittleEndian.PutUint64(page[i*keyBytes:], k.Hi)
			binary.LittleEndian.PutUint64(page[i*keyBytes+8:], k.Lo)
		}
		if _, err := s.file.WriteAt(page[:], int64(len(s.firsts))*int64(len(page))); err != nil {
			return err
		}
		s.firsts = append(s.firsts, rest[0])
	}
	s.keys = s.keys[:copy(s.keys, rest)]
	return nil
}

// Has reports whether a key was added.
func (s *Set) Has(k Key) (bool, error) {
	if _, found := slices.BinarySearchFunc(s.keys, k, Key.compare); found {
		return true, nil
	}
	at, found := slices.BinarySearchFunc(s.firsts, k, Key.compare)
	if found || at == 0 {
		return found, nil
	}
	page := s.pages.Get().(*[pageKeys * keyBytes]byte)
	defer s.pages.Put(page)
	if _, err := s.file.ReadAt(page[:], int64(at-1)*int64(len(page))); err != nil {
		return false, fmt.Errorf("temporary file: %w", err)
	}
	for b := range slices.Chunk(page[:], keyBytes) {
		if binary.LittleEndian.Uint64(b) == k.Hi && binary.LittleEndian.Uint64(b[8:]) == k.Lo {
			return true, nil
		}
	}
	return false, nil
}

// Close lets go of the keys.
func (s *Set) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
