package distill

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"tandem/capture"
	"tandem/capture/keylog"
)

// A Source is a recording to read.
type Source struct {
	Name      string // for errors and reports
	Recording *capture.Recording
}

// Options say what is kept. The zero value keeps one invocation of each class.
type Options struct {
	Select Selection
	// All keeps everything that is selected, instead of so many of each class.
	All bool
	// PerClass is how many are kept of a class that has as many: those with the smallest events. The default is 1.
	PerClass int
	// Seed decides between events of one size. The same seed keeps the same ones.
	Seed uint64
	// PrefixIDs puts the source's number, from 1, before each ID: 1-i-1, 2-i-1. Without it, no two invocations that
	// are selected may have one ID.
	PrefixIDs bool
	// Parts is how many recordings are written. The default is 1.
	Parts int
	// Lanes returns what an invocation shares with others that have to stay with it in one part, and in order. It is
	// needed for several parts.
	Lanes func(*capture.Invocation) []string
	// Salvage leaves out pinned objects that cannot be read, instead of failing.
	Salvage bool
}

// A Plan is what a scan found worth keeping.
type Plan struct {
	sources []Source
	opts    Options
	classes map[Class]*class
	parts   *parts

	read      []int64 // from each source
	functions map[string]int64
	selected  int64
}

// A class is what is known of the invocations of one [Class].
type class struct {
	count int64
	best  []candidate // the best first, at most opts.PerClass
}

// A candidate is an invocation that may be kept.
type candidate struct {
	bytes  int    // of the event
	hash   uint64 // of the seed and the ID
	source int
	n      int64 // in the source, from 1
	id     string
	lanes  []string
}

func (c candidate) compare(d candidate) int {
	return cmp.Or(cmp.Compare(c.bytes, d.bytes), cmp.Compare(c.hash, d.hash), c.comparePlaces(d))
}

func (c candidate) comparePlaces(d candidate) int {
	return cmp.Or(cmp.Compare(c.source, d.source), cmp.Compare(c.n, d.n))
}

func hash(seed uint64, text string) uint64 {
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, seed), text...))
	return binary.BigEndian.Uint64(sum[:])
}

// Scan reads all sources, which are taken one after the other, and finds what to keep. It is an error when a function
// that opts selects does not occur, when nothing is selected, or when two selected invocations would have the same
// ID; in that last case it is a [*DuplicateError], or a [*capture.DuplicateError] within one source.
func Scan(ctx context.Context, sources []Source, opts Options) (*Plan, error) {
	opts.PerClass = max(opts.PerClass, 1)
	opts.Parts = max(opts.Parts, 1)
	if opts.Parts > 1 && opts.Lanes == nil {
		return nil, errors.New("cannot write several parts without knowing lanes")
	}
	p := &Plan{
		sources: sources, opts: opts, classes: make(map[Class]*class), parts: newParts(opts.Parts, opts.Seed),
		read: make([]int64, len(sources)), functions: make(map[string]int64),
	}
	var ids keylog.Duplicates
	defer ids.Close()
	for i := range sources {
		if err := p.scan(ctx, i, &ids); err != nil {
			return nil, err
		}
	}
	if err := p.refuseDuplicates(ctx, &ids); err != nil {
		return nil, err
	}
	if err := opts.Select.Check(p.functions); err != nil {
		return nil, err
	}
	if p.selected == 0 {
		return nil, fmt.Errorf("there is nothing to keep: none of %d invocations is selected", p.total())
	}
	for _, class := range p.classes {
		for _, c := range class.best {
			p.parts.tie(c.lanes)
		}
	}
	return p, nil
}

func (p *Plan) total() (n int64) {
	for _, read := range p.read {
		n += read
	}
	return n
}

// scan reads one source.
func (p *Plan) scan(ctx context.Context, source int, ids *keylog.Duplicates) error {
	var n int64
	for inv, err := range p.sources[source].Recording.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		n++
		p.read[source]++
		p.functions[inv.Function]++
		if !p.opts.Select.Has(inv) {
			continue
		}
		p.add(candidate{bytes: len(inv.Event), source: source, n: n, id: inv.ID}, inv)
		if err := ids.Add(p.idOf(source, inv.ID), uint64(p.total())); err != nil {
			return err
		}
	}
	return nil
}

// add counts a selected invocation, and keeps it for now if it is among the best of its class.
func (p *Plan) add(c candidate, inv *capture.Invocation) {
	p.selected++
	if p.opts.All {
		if p.opts.Parts > 1 {
			p.parts.tie(p.opts.Lanes(inv))
		}
		return
	}
	key := ClassOf(inv)
	of := p.classes[key]
	if of == nil {
		of = new(class)
		p.classes[key] = of
	}
	of.count++
	full := len(of.best) == p.opts.PerClass
	if full && c.bytes > of.best[len(of.best)-1].bytes {
		return
	}
	c.hash = hash(p.opts.Seed, c.id)
	at, _ := slices.BinarySearchFunc(of.best, c, candidate.compare)
	if full && at == len(of.best) {
		return
	}
	if p.opts.Parts > 1 {
		c.lanes = p.opts.Lanes(inv)
	}
	if full {
		of.best = of.best[:len(of.best)-1]
	}
	of.best = slices.Insert(of.best, at, c)
}

// idOf returns the ID under which an invocation is written.
func (p *Plan) idOf(source int, id string) string {
	if p.opts.PrefixIDs {
		return strconv.Itoa(source+1) + "-" + id
	}
	return id
}

// A DuplicateError says that two recordings have an invocation of the same ID.
type DuplicateError struct{ ID, First, Second string }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("invocation %s is in %s and in %s: --prefix-ids tells them apart by the recording's number; "+
		"if they are the same invocation, leave one of the recordings out", e.ID, e.First, e.Second)
}

// refuseDuplicates refuses two selected invocations of one ID, whose numbers are those over all sources.
func (p *Plan) refuseDuplicates(ctx context.Context, ids *keylog.Duplicates) error {
	found, err := ids.Find(ctx)
	if err != nil || found.Count == 0 {
		return err
	}
	first, _ := p.sourceOf(found.Examples[0].First)
	second, n := p.sourceOf(found.Examples[0].Again)
	if first == second {
		if _, err := p.sources[second].Recording.Verify(ctx); err != nil {
			return err // it says in which lines
		}
		return fmt.Errorf("%s has changed while it was read", p.sources[second].Name)
	}
	for inv, err := range p.sources[second].Recording.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if n--; n == 0 {
			return &DuplicateError{ID: inv.ID, First: p.sources[first].Name, Second: p.sources[second].Name}
		}
	}
	return fmt.Errorf("%s has changed while it was read", p.sources[second].Name)
}

// sourceOf returns in which source an invocation is that has a number over all of them, and its number there.
func (p *Plan) sourceOf(n uint64) (source int, there int64) {
	there = int64(n)
	for there > p.read[source] {
		there -= p.read[source]
		source++
	}
	return source, there
}
