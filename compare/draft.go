package compare

import (
	"slices"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
)

// drafts are the documents of a calibrated trial's four outcomes. Each outcome is compared three times, and comparing
// changes documents: so each is made once, and copied. Nil are those of a trial that is not calibrated, whose documents
// are used but once.
type drafts map[*capture.Outcome]*document

// drafts returns those of a trial that has four outcomes.
func (j *judge) drafts(t *replay.Trial) drafts {
	made := make(drafts, 4)
	for _, name := range j.ofFour() {
		o := t.Outcomes[name]
		if o == nil {
			return nil
		}
		made[o] = nil
	}
	return made
}

// of returns a document that the caller may change.
func (d drafts) of(o *capture.Outcome) document {
	if d == nil {
		return newDocument(o)
	}
	return d.draft(o).clone()
}

func (d drafts) draft(o *capture.Outcome) *document {
	if d[o] == nil {
		made := newDocument(o)
		d[o] = &made
	}
	return d[o]
}

// alike tells for each of the four the first one that is the same to the letter, or itself: what comparing that one has
// found goes for the other.
func (d drafts) alike(t *replay.Trial, names [4]string) (like [4]int) {
	for i, name := range names {
		like[i] = i
		b := t.Outcomes[name]
		for k := range i {
			a := t.Outcomes[names[k]]
			if like[k] == k && a.Status == b.Status && (a.Effects == nil) == (b.Effects == nil) && same(d.draft(a), d.draft(b)) {
				like[i] = k
				break
			}
		}
	}
	return like
}

func same(a, b *document) bool {
	return identical(a.root, b.root) && slices.EqualFunc(a.effects, b.effects, identical)
}

// identical reports whether two values are written in the same way, too.
func identical(a, b jsonval.Value) bool {
	return sameType(a, b) && a.Text == b.Text && slices.Equal(a.Names, b.Names) &&
		slices.EqualFunc(a.Elems, b.Elems, identical)
}

// clone copies all that comparing changes. It takes memory once for all values.
func (d *document) clone() document {
	size := elements(d.root)
	for _, e := range d.effects {
		size += 1 + elements(e)
	}
	room := make([]jsonval.Value, 0, size)
	var copied func(v jsonval.Value) jsonval.Value
	list := func(values []jsonval.Value) []jsonval.Value {
		if values == nil {
			return nil
		}
		from := len(room)
		room = append(room, values...)
		kept := room[from:len(room):len(room)]
		for i := range kept {
			kept[i] = copied(kept[i])
		}
		return kept
	}
	copied = func(v jsonval.Value) jsonval.Value {
		v.Elems, v.Names = list(v.Elems), slices.Clip(v.Names)
		return v
	}
	return document{root: copied(d.root), effects: list(d.effects)}
}

// elements counts the values below v.
func elements(v jsonval.Value) int {
	n := len(v.Elems)
	for _, e := range v.Elems {
		n += elements(e)
	}
	return n
}
