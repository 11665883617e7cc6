package compare

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"tandem/capture"
	"tandem/replay"
)

// An Inventory is what a recording has seen of each function: shapes, formats, and how invocations ended. The coverage
// of a run is measured by it. Its memory does not grow with the recording.
type Inventory struct {
	Path        string
	Hash        string // of the recording, as manifests of runs have it
	Invocations int64
	functions   map[string]*kinds
}

// kinds counts the invocations of one function by kind.
type kinds struct{ shapes, formats, statuses *bounded }

func newKinds() *kinds {
	return &kinds{newBounded(maxShapes), newBounded(maxShapes), newBounded(maxShapes)}
}

func (k *kinds) merge(o *kinds) {
	k.shapes.merge(o.shapes)
	k.formats.merge(o.formats)
	k.statuses.merge(o.statuses)
}

// see counts a trial that was compared, with the outcome of its baseline.
func (k *kinds) see(t *replay.Trial, baseline *capture.Outcome) {
	k.shapes.see(t.Shape, 1)
	k.formats.see(string(t.Format), 1)
	if status := statusClass(baseline); status != "" {
		k.statuses.see(status, 1)
	}
}

// TakeInventory reads a recording, which was opened at path.
func TakeInventory(ctx context.Context, rec *capture.Recording, path string) (*Inventory, error) {
	hash, err := rec.Hash(ctx)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", path, err)
	}
	inv := &Inventory{Path: path, Hash: hash, functions: make(map[string]*kinds)}
	for i, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("recording %s: %w", path, err)
		}
		inv.add(i)
	}
	return inv, nil
}

func (inv *Inventory) add(i *capture.Invocation) {
	inv.Invocations++
	of := inv.functions[i.Function]
	if of == nil {
		of = newKinds()
		inv.functions[i.Function] = of
	}
	of.shapes.see(i.Shape(), 1)
	of.formats.see(string(i.Format), 1)
	if status := statusClass(i.Outcome); status != "" {
		of.statuses.see(status, 1)
	}
}

// statusClass says how an invocation ended, in few classes: the hundreds of an HTTP status, "some messages failed"
// for a batch, else the outcome's status. It is "" where nothing is known of that.
func statusClass(o *capture.Outcome) string {
	switch {
	case o == nil || !ran(o.Status):
		return ""
	case o.Status != capture.StatusOK:
		return string(o.Status)
	case o.HTTP != nil && o.HTTP.Status >= 100 && o.HTTP.Status < 600:
		return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[o.HTTP.Status/100-1]
	}
	for _, fate := range o.Records {
		if fate != capture.Acked {
			return "some messages failed"
		}
	}
	return string(o.Status)
}

// Coverage says how much of what a recording has seen the trials that were compared have seen, too. Its sums count a
// kind once for each function that has it.
type Coverage struct {
	Recording   string `json:"recording"`
	Invocations int64  `json:"invocations"`
	FunctionCoverage
	Functions map[string]FunctionCoverage `json:"functions"`
}

// FunctionCoverage is the part of the coverage that one function has. How invocations ended is told by the recorded
// outcomes, and in a run by what the baseline did.
type FunctionCoverage struct {
	Shapes   Cover `json:"shapes"`
	Formats  Cover `json:"formats"`
	Statuses Cover `json:"statuses"`
}

// A Cover says how many kinds there are in a recording, and how many of these were compared.
type Cover struct {
	Seen     int64   `json:"seen"`
	Compared int64   `json:"compared"`
	Share    float64 `json:"share"` // 0 when none was seen
	// Missing are those that were not compared, the most frequent first, as far as they are told.
	Missing []MissingKind `json:"missing,omitempty"`
	// Uncounted are invocations of kinds that are too many to be told apart.
	Uncounted int64 `json:"uncounted,omitempty"`
}

// A MissingKind is a shape, a format or a status that no trial was compared of.
type MissingKind struct {
	Name        string `json:"name"`
	Function    string `json:"function"`
	Invocations int64  `json:"invocations"` // in the recording
}

// maxMissing is how many missing kinds are told.
const maxMissing = 100

// coverage measures what was compared by the inventory.
func (inv *Inventory) coverage(compared map[string]*functionSummary) *Coverage {
	c := &Coverage{
		Recording: inv.Path, Invocations: inv.Invocations, Functions: make(map[string]FunctionCoverage, len(inv.functions)),
	}
	for _, name := range sortedKeys(inv.functions) {
		in, has := inv.functions[name], newKinds()
		if f := compared[name]; f != nil {
			has = f.kinds
		}
		f := FunctionCoverage{
			Shapes:   coverOf(name, in.shapes, has.shapes),
			Formats:  coverOf(name, in.formats, has.formats),
			Statuses: coverOf(name, in.statuses, has.statuses),
		}
		c.Functions[name] = f
		c.Shapes.add(f.Shapes)
		c.Formats.add(f.Formats)
		c.Statuses.add(f.Statuses)
	}
	return c
}

func coverOf(function string, in, has *bounded) Cover {
	var c Cover
	all, compared := in.forget(), has.forget()
	for _, name := range sortedKeys(all) {
		if name == others {
			c.Uncounted += all[name]
			continue
		}
		c.Seen++
		if compared[name] > 0 {
			c.Compared++
		} else {
			c.Missing = append(c.Missing, MissingKind{Name: name, Function: function, Invocations: all[name]})
		}
	}
	c.settle()
	return c
}

func (c *Cover) add(d Cover) {
	c.Seen += d.Seen
	c.Compared += d.Compared
	c.Uncounted += d.Uncounted
	c.Missing = append(c.Missing, d.Missing...)
	c.settle()
}

func (c *Cover) settle() {
	if c.Seen > 0 {
		c.Share = float64(c.Compared) / float64(c.Seen)
	}
	slices.SortStableFunc(c.Missing, func(a, b MissingKind) int { return cmp.Compare(b.Invocations, a.Invocations) })
	c.Missing = c.Missing[:min(len(c.Missing), maxMissing)]
}

// A shortShape is a shape with fewer trials than there should be.
type shortShape struct {
	function, shape string
	compared, seen  int64 // trials, and invocations in the recording
}

// short returns the shapes of which fewer than least trials were compared, those with the fewest first, and whether all
// shapes could be told apart.
func (inv *Inventory) short(compared map[string]FunctionReport, least int64) (found []shortShape, all bool) {
	all = true
	for _, function := range sortedKeys(inv.functions) {
		shapes := inv.functions[function].shapes.forget()
		for _, shape := range sortedKeys(shapes) {
			if shape == others {
				all = false
				continue
			}
			if n := compared[function].Shapes[shape]; n < least {
				found = append(found, shortShape{function, shape, n, shapes[shape]})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b shortShape) int { return cmp.Compare(a.compared, b.compared) })
	return found, all
}
