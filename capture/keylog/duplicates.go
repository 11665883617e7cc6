package keylog

import (
	"cmp"
	"context"
	"slices"
)

// Duplicates finds texts that occur more than once in a sequence, in memory that does not grow with it: 32 bytes for
// each text are in memory, or on disk where that is more than 8 MiB. The zero value is ready for use; it has to be
// closed. It is not safe for concurrent use.
type Duplicates struct {
	Memory int // bounds the texts in memory, in bytes; default 8 MiB

	log    Log
	hasher *Hasher
}

// A Repeat is two places of one text, as told to Add.
type Repeat struct{ First, Again uint64 }

// Repeats are the occurrences of texts behind the first of each.
type Repeats struct {
	Count int64
	// Examples are the first three of them.
	Examples []Repeat
}

const maxExamples = 3

// Add takes the next text. Places increase.
func (d *Duplicates) Add(text string, at uint64) error {
	if d.hasher == nil {
		d.hasher = NewHasher()
	}
	return d.AddKey(d.hasher.Key(0, text), at)
}

// AddKey is Add for a text whose key is known. All keys are of one [Hasher] then.
func (d *Duplicates) AddKey(k Key, at uint64) error {
	d.log.Memory = d.Memory
	return d.log.Add(Record{Key: k, N: at})
}

// occurrences are those of one text.
type occurrences struct {
	count int64
	first uint64
	again [maxExamples]uint64
}

func (o *occurrences) add(r Record) {
	switch {
	case o.count == 0:
		o.first = r.N
	case o.count <= maxExamples:
		o.again[o.count-1] = r.N
	}
	o.count++
}

// Find returns what there is more than once.
func (d *Duplicates) Find(ctx context.Context) (Repeats, error) { return d.find(ctx, maxStates) }

func (d *Duplicates) find(ctx context.Context, limit int) (Repeats, error) {
	var found Repeats
	err := fold(ctx, &d.log, limit, (*occurrences).add, func(_ Key, o *occurrences) error {
		found.Count += o.count - 1
		for _, again := range o.again[:min(o.count-1, maxExamples)] {
			found.Examples = append(found.Examples, Repeat{o.first, again})
		}
		if o.count > 1 {
			slices.SortFunc(found.Examples, func(a, b Repeat) int { return cmp.Compare(a.Again, b.Again) })
			found.Examples = found.Examples[:min(len(found.Examples), maxExamples)]
		}
		return nil
	})
	return found, err
}

// Close lets go of all texts.
func (d *Duplicates) Close() error { return d.log.Close() }
