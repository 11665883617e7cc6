package distill

import (
	"context"
	"fmt"
	"io"
	"slices"

	"tandem/capture"
)

// A Part is a recording to write.
type Part struct {
	Name string // for reports
	Sink Sink
}

// A Sink takes what is kept. A [capture.Writer] is one.
type Sink interface {
	Write(*capture.Invocation) error
	// PutObject keeps the bytes of a pinned object, which may be there already.
	PutObject(io.Reader) (sha256hex string, size int64, err error)
}

// A Report says what became of what was read. Read is the sum of Kept, Represented and NotSelected.
type Report struct {
	Read        int64 `json:"read"`
	Kept        int64 `json:"kept"`
	Represented int64 `json:"represented"` // left out, because one of their class was kept
	NotSelected int64 `json:"notSelected"`
	// Classes is how many there are among the selected; absent when all of them were kept.
	Classes    int            `json:"classes,omitempty"`
	Seed       uint64         `json:"seed"`
	Recordings []SourceReport `json:"recordings"`
	Written    []PartReport   `json:"written"`
	// MissingObjects counts how often the bytes of a pinned object were not there to be copied.
	MissingObjects int64 `json:"missingObjects"`
	// Invocations are those that were kept, in the order in which they were read; absent when all of them were.
	Invocations []Kept `json:"invocations,omitempty"`
}

// A SourceReport is about one recording that was read.
type SourceReport struct {
	Name        string `json:"name"`
	Invocations int64  `json:"invocations"`
	Lost        int64  `json:"lost"` // that its capture could not record
	Complete    bool   `json:"complete"`
}

// A PartReport is about one recording that was written.
type PartReport struct {
	Name        string `json:"name"`
	Invocations int64  `json:"invocations"`
}

// A Kept is an invocation that was kept, and what it stands for.
type Kept struct {
	ID string `json:"id"` // in the recording that was written
	Class
	// Count is how many invocations it stands for, itself among them: those of its class, or its share of them when
	// several of the class were kept. Counts add up to what was kept and represented.
	Count     int64  `json:"count"`
	Bytes     int    `json:"bytes"` // of the event
	Recording string `json:"recording"`
	Written   string `json:"written"`
}

// Write reads the sources again and copies what the plan keeps, with the pinned objects that it names, to the parts,
// of which there must be as many as the options say. Invocations stay in the order in which they are read.
func (p *Plan) Write(ctx context.Context, to []Part) (*Report, error) {
	if len(to) != p.opts.Parts {
		return nil, fmt.Errorf("%d recordings to write to, and %d parts", len(to), p.opts.Parts)
	}
	w := writer{
		Plan: p, to: to, due: p.picks(), copied: make([]map[string]bool, len(to)),
		report: Report{Seed: p.opts.Seed, Classes: len(p.classes), Read: p.total(), NotSelected: p.total() - p.selected},
	}
	for i := range to {
		w.copied[i] = make(map[string]bool)
		w.report.Written = append(w.report.Written, PartReport{Name: to[i].Name})
	}
	for i := range p.sources {
		if err := w.copy(ctx, i); err != nil {
			return nil, err
		}
	}
	w.report.Represented = p.selected - w.report.Kept
	return &w.report, nil
}

// A pick is a candidate that is kept.
type pick struct {
	candidate
	class Class
	count int64 // that it stands for
}

// picks returns what is kept of each class, in the order in which it is read.
func (p *Plan) picks() []pick {
	var picks []pick
	for key, of := range p.classes {
		n := int64(len(of.best))
		for i, c := range of.best {
			share := of.count / n
			if int64(i) < of.count%n {
				share++
			}
			picks = append(picks, pick{candidate: c, class: key, count: share})
		}
	}
	slices.SortFunc(picks, func(a, b pick) int { return a.comparePlaces(b.candidate) })
	return picks
}

// A writer carries out a plan.
type writer struct {
	*Plan
	to     []Part
	due    []pick            // those that were not met yet
	copied []map[string]bool // objects that are in each part, by hash
	report Report
}

// maxCopied bounds what is remembered of the objects that were copied. To copy one again does no harm.
const maxCopied = 1 << 16

func (w *writer) copy(ctx context.Context, source int) error {
	from := w.sources[source]
	var n int64
	for inv, err := range from.Recording.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		n++
		switch {
		case w.opts.All:
			if w.opts.Select.Has(inv) {
				_, err = w.keep(from, source, inv)
			}
		case len(w.due) > 0 && w.due[0].source == source && w.due[0].n == n:
			err = w.keepPick(from, inv)
		}
		if err != nil {
			return err
		}
	}
	if n != w.read[source] {
		return w.changed(source)
	}
	report := SourceReport{Name: from.Name, Invocations: n, Complete: from.Recording.Complete()}
	if m := from.Recording.Manifest(); m != nil {
		report.Lost = m.Counts.Lost
	}
	w.report.Recordings = append(w.report.Recordings, report)
	return nil
}

func (p *Plan) changed(source int) error {
	return fmt.Errorf("%s has changed while it was read: wait until its capture has ended", p.sources[source].Name)
}

// keepPick writes the invocation that is the next pick.
func (w *writer) keepPick(from Source, inv *capture.Invocation) error {
	picked := w.due[0]
	if inv.ID != picked.id {
		return w.changed(picked.source)
	}
	part, err := w.keep(from, picked.source, inv)
	if err != nil {
		return err
	}
	w.due = w.due[1:]
	w.report.Invocations = append(w.report.Invocations, Kept{
		ID: inv.ID, Class: picked.class, Count: picked.count, Bytes: picked.bytes,
		Recording: from.Name, Written: w.to[part].Name,
	})
	return nil
}

// keep writes inv, under its new ID, and its objects to a part, whose number it returns.
func (w *writer) keep(from Source, source int, inv *capture.Invocation) (part int, err error) {
	if len(w.to) > 1 {
		part = w.parts.deal(w.opts.Lanes(inv))
	}
	for _, o := range inv.Objects {
		if err := w.copyObject(from, part, o); err != nil {
			return 0, fmt.Errorf("invocation %s of %s: %w", inv.ID, from.Name, err)
		}
	}
	inv.ID = w.idOf(source, inv.ID)
	if err := w.to[part].Sink.Write(inv); err != nil {
		return 0, err
	}
	w.report.Kept++
	w.report.Written[part].Invocations++
	return part, nil
}

func (w *writer) copyObject(from Source, part int, o capture.Object) error {
	copied := w.copied[part]
	if copied[o.SHA256] {
		return nil
	}
	in, err := from.Recording.OpenObject(o.SHA256)
	if err != nil && from.Recording.Manifest() == nil { // one file has names of objects only
		w.report.MissingObjects++
		return nil
	}
	if err != nil {
		return w.missing(o, err)
	}
	defer in.Close()
	read := &failing{Reader: in}
	if _, _, err := w.to[part].Sink.PutObject(read); read.err != nil {
		return w.missing(o, read.err)
	} else if err != nil {
		return err
	}
	if len(copied) >= maxCopied {
		clear(copied)
	}
	copied[o.SHA256] = true
	return nil
}

// missing decides what becomes of an object that cannot be read.
func (w *writer) missing(o capture.Object, err error) error {
	if !w.opts.Salvage {
		return fmt.Errorf("object %s of bucket %s: %w; --salvage leaves it out", o.Key, o.Bucket, err)
	}
	w.report.MissingObjects++
	return nil
}

// A failing remembers why reading failed, to tell it from a failure to write.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
