package drain

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"tandem/capture"
	"tandem/capture/scratch"
)

// IDs is the set of the messages that were recorded. Other than a filter it is exact, because a message that it
// wrongly took for recorded would be lost; other than a map it does not grow in memory, because it is kept in
// temporary files, of about 30 bytes a message. It is safe for concurrent use. The zero value is empty and ready;
// Close removes the files.
//
// What is compared is half of a SHA-256, which is to say that two IDs are never taken for one.
type IDs struct {
	mu     sync.Mutex
	tables []*table // each four times as large as the one before; only the last is added to
}

type idKey [16]byte

func keyOf(id string) idKey {
	sum := sha256.Sum256([]byte(id))
	key := idKey(sum[:16])
	key[15] |= 1 // an empty place is all zeros
	return key
}

// Has reports whether id was added.
func (s *IDs) Has(id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has(keyOf(id))
}

func (s *IDs) has(key idKey) (bool, error) {
	for _, t := range s.tables {
		if _, found, err := t.find(key); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// Add adds id, which may be there already.
func (s *IDs) Add(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := keyOf(id)
	if found, err := s.has(key); err != nil || found {
		return err
	}
	if n := len(s.tables); n == 0 || s.tables[n-1].full() {
		t, err := newTable(firstBuckets << (2 * n))
		if err != nil {
			return err
		}
		s.tables = append(s.tables, t)
	}
	return s.tables[len(s.tables)-1].add(key)
}

// AddRecorded adds the messages of all invocations in rec that are from since or later; of tells which these are. SQS
// keeps a message for 14 days at most, so what is older cannot come again. Memory does not grow with rec. It returns
// how many messages it found.
func (s *IDs) AddRecorded(ctx context.Context, rec *capture.Recording, since time.Time,
	of func(*capture.Invocation) []string) (n int64, err error) {
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return n, fmt.Errorf("find out what was recorded: %w", err)
		}
		if !inv.Time.IsZero() && inv.Time.Before(since) {
			continue
		}
		for _, id := range of(inv) {
			if err := s.Add(id); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// Close removes what s keeps on disk. It is then empty.
func (s *IDs) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, t := range s.tables {
		if err := t.file.Close(); err != nil && first == nil {
			first = err
		}
	}
	s.tables = nil
	return first
}

const (
	bucketKeys   = 32 // keys in a bucket, which is read at once
	bucketBytes  = bucketKeys * len(idKey{})
	firstBuckets = 128 // of the first table: 64 KiB
)

// A table is a file of buckets. A key is in the bucket that it belongs to, or when that is full in the next that is
// not. Keys are never removed, so a search ends at the first empty place.
type table struct {
	file    *scratch.File
	buckets uint64 // a power of two
	keys    uint64
	buf     [bucketBytes]byte
}

func newTable(buckets uint64) (*table, error) {
	file, err := scratch.Create()
	if err != nil {
		return nil, fmt.Errorf("remember messages: %w", err)
	}
	t := &table{file: file, buckets: buckets}
	if err := file.Truncate(int64(buckets) * int64(bucketBytes)); err != nil {
		t.file.Close()
		return nil, fmt.Errorf("remember messages: %w", err)
	}
	return t, nil
}

func (t *table) full() bool { return t.keys >= t.buckets*bucketKeys*7/10 }

// find returns where key is, or the empty place where it has to go.
func (t *table) find(key idKey) (at int64, found bool, err error) {
	for b := binary.LittleEndian.Uint64(key[:8]); ; b++ {
		start := int64(b%t.buckets) * int64(bucketBytes)
		if _, err := t.file.ReadAt(t.buf[:], start); err != nil {
			return 0, false, fmt.Errorf("remember messages: %w", err)
		}
		for i := 0; i < bucketBytes; i += len(key) {
			switch idKey(t.buf[i : i+len(key)]) {
			case key:
				return start + int64(i), true, nil
			case idKey{}:
				return start + int64(i), false, nil
			}
		}
	}
}

func (t *table) add(key idKey) error {
	at, _, err := t.find(key)
	if err != nil {
		return err
	}
	if _, err := t.file.WriteAt(key[:], at); err != nil {
		return fmt.Errorf("remember messages: %w", err)
	}
	t.keys++
	return nil
}
