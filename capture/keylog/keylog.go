// Package keylog finds what the records of one key have in common where keys come in great numbers, such as the IDs
// of all trials of a run, in memory that does not grow with them, and exactly.
//
// A [Log] takes records, and [Fold] hands them out by key, once all are there. The records of a log that outgrows its
// memory are on disk, in a temporary file that is removed whatever happens.
package keylog

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"tandem/capture/scratch"
)

const (
	// defaultMemory is what the records of a log take in memory at most.
	defaultMemory = 8 << 20
	// partitions is how many parts keys are divided into, evenly, because they are hashes. Each is folded on its own.
	partitions = 1 << partitionBits

	partitionBits = 10
	recordBytes   = 32
)

// A Record is what a log keeps of a key.
type Record struct {
	Key      Key
	Value, N uint64 // as the user likes
}

// A Log keeps records until they are folded. It takes 8 MiB of memory at most, and 32 bytes of disk for each record
// when that is full. The zero value is empty and ready; it has to be closed. It is not safe for concurrent use.
type Log struct {
	// Memory bounds the records in memory, in bytes; default 8 MiB. Each partition has a block at least, of one
	// record.
	Memory int

	parts  [partitions]partition
	block  int // records in a block
	file   *scratch.File
	blocks int64 // in the file
	buf    []byte
}

// A partition is the records whose keys begin alike, in the order in which they were added.
type partition struct {
	spilled []int64 // blocks in the file
	held    []Record
}

// Add adds a record. It writes to disk at times.
func (l *Log) Add(r Record) error {
	p := &l.parts[r.Key.Hi>>(64-partitionBits)]
	if len(p.held) == cap(p.held) {
		if err := l.makeRoom(p); err != nil {
			return err
		}
	}
	p.held = append(p.held, r)
	return nil
}

// makeRoom lets the block in memory grow, or writes it when it is as large as may be.
func (l *Log) makeRoom(p *partition) error {
	if l.block == 0 {
		memory := l.Memory
		if memory <= 0 {
			memory = defaultMemory
		}
		l.block = max(1, memory/partitions/recordBytes)
	}
	if n := len(p.held); n < l.block {
		grown := make([]Record, n, min(max(4, 2*n), l.block))
		copy(grown, p.held)
		p.held = grown
		return nil
	}
	if err := l.write(p.held); err != nil {
		return err
	}
	p.spilled = append(p.spilled, l.blocks-1)
	p.held = p.held[:0]
	return nil
}

// write puts a block at the end of the file.
func (l *Log) write(records []Record) error {
	if l.file == nil {
		file, err := scratch.Create()
		if err != nil {
			return err
		}
		l.file, l.buf = file, make([]byte, l.block*recordBytes)
	}
	for i, r := range records {
		b := l.buf[i*recordBytes:][:recordBytes]
		binary.LittleEndian.PutUint64(b, r.Key.Hi)
		binary.LittleEndian.PutUint64(b[8:], r.Key.Lo)
		binary.LittleEndian.PutUint64(b[16:], r.Value)
		binary.LittleEndian.PutUint64(b[24:], r.N)
	}
	if _, err := l.file.WriteAt(l.buf, l.blocks*int64(len(l.buf))); err != nil {
		return err
	}
	l.blocks++
	return nil
}

// each hands out the records of a partition in the order in which they were added.
func (l *Log) each(ctx context.Context, p *partition, do func(Record)) error {
	for _, block := range p.spilled {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := l.file.ReadAt(l.buf, block*int64(len(l.buf))); err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
		for b := range slices.Chunk(l.buf, recordBytes) {
			do(Record{
				Key:   Key{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])},
				Value: binary.LittleEndian.Uint64(b[16:]),
				N:     binary.LittleEndian.Uint64(b[24:]),
			})
		}
	}
	for _, r := range p.held {
		do(r)
	}
	return ctx.Err()
}

// Close lets go of the records. The log is empty then.
func (l *Log) Close() error {
	var err error
	if l.file != nil {
		err = l.file.Close()
	}
	*l = Log{Memory: l.Memory}
	return err
}

// Fold hands each record to add with the state of its key, which is zero for the first one, and then each key with
// its state to end, once. The records of a key come in the order in which they were added; keys come in no order, but
// all those of a partition before those of another, so that a [Set] can be made of them. It keeps at most 250,000
// states at a time: where a partition has more keys than that, it is read as often as it takes.
func Fold[S any](ctx context.Context, l *Log, add func(*S, Record), end func(Key, *S) error) error {
	return fold(ctx, l, maxStates, add, end)
}

const maxStates = 250_000

func fold[S any](ctx context.Context, l *Log, limit int, add func(*S, Record), end func(Key, *S) error) error {
	t := table[S]{limit: limit}
	for i := range l.parts {
		const width = 64 - partitionBits
		from, last := uint64(i)<<width, uint64(i)<<width|(1<<width-1)
		for done := false; !done; {
			t.begin(from, last)
			err := l.each(ctx, &l.parts[i], func(r Record) {
				if state := t.at(r.Key); state != nil {
					add(state, r)
				}
			})
			if err != nil {
				return err
			}
			for j := range t.entries {
				if err := end(t.entries[j].key, &t.entries[j].state); err != nil {
					return err
				}
			}
			done = t.last == last
			from = t.last + 1
		}
	}
	return nil
}
