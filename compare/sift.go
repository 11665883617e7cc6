package compare

import (
	"cmp"
	"slices"

	"tandem/capture/jsonval"
	"tandem/replay"
)

// sift leaves of what was found in a trial what noise does not explain, once the noise of the whole run is known.
func (j *judge) sift(t *replay.Trial, r result, four calibrated) result {
	if j.noise == nil || r.class != matched && r.class != differed {
		return r
	}
	var kept []Difference
	explained := false
	for _, d := range r.differences {
		f := fieldOf(t.Function, &d)
		is := j.noise[f]
		switch trial := four[f]; {
		case d.ofRun: // it is no matter of chance in this trial
			kept = append(kept, d)
		case is.excused(), !is.noisy && j.noise[f.in(presence)].noisy && !trial.complete(), trial != nil && is.evidence != noEvidence && !is.shows(trial.split):
			explained = true
		default:
			d.Note = cmp.Or(is.note(), d.Note)
			kept = append(kept, d)
		}
	}
	for _, f := range four.sorted() {
		trial, is := four[f], j.noise[f]
		switch {
		case is.keepsState() && trial.split == inStep: // both turns agree
		case is.evidence == noEvidence || !is.shows(trial.split):
			explained = explained || f.of != forms && is.noisy
		case f.of == forms || len(trial.first) == 0:
			if d := is.difference(f, trial); !slices.ContainsFunc(kept, func(k Difference) bool { return k.Path == d.Path }) {
				kept = append(kept, d)
			}
		}
	}
	r.differences = kept
	switch {
	case len(kept) > 0:
		r.class = differed
	case explained:
		r.class = noisy
	default:
		r.class = matched
	}
	return r
}

// complete reports whether all four outcomes have a value. Of what is there at times, values that differ between the sides
// tell something only where each side has two that agree.
func (d *disagreement) complete() bool { return d != nil && !slices.Contains(d.values[:], nil) }

// sorted returns the fields of a trial in one order.
func (c calibrated) sorted() []field {
	fields := make([]field, 0, len(c))
	for f := range c {
		fields = append(fields, f)
	}
	slices.SortFunc(fields, compareFields)
	return fields
}

// shows reports whether a trial with that split is one of those that the evidence was found in.
func (f finding) shows(s split) bool {
	switch f.evidence {
	case steady:
		return s.has(baselineSplit) && !s.has(candidateSplit)
	case restless:
		return s.has(candidateSplit) && !s.has(baselineSplit)
	case noEvidence:
		return false
	}
	if !f.reproducible {
		return s.has(firstSplit)
	}
	return s == apart || s.disagreeing() == 5 && s&(baselineSplit|candidateSplit) != baselineSplit|candidateSplit
}

// note is what a difference in such a field says beside its values.
func (f finding) note() string {
	if f.evidence == steady || f.evidence == restless {
		return string(f.evidence)
	}
	return ""
}

// difference makes one of a trial that shows the evidence, where comparing the first two outcomes does not.
func (f finding) difference(at field, trial *disagreement) Difference {
	d := Difference{Path: trial.path, Kind: Changed, Effect: at.effect, Note: f.note()}
	if at.of == forms {
		d.Baseline, d.Candidate = trial.shown[0], trial.shown[2]
		d.Note = "of another form: " + trial.values[2].Text + " for " + trial.values[0].Text
		return d
	}
	d.Baseline, d.Candidate = both(trial.values[0], trial.values[1]), both(trial.values[2], trial.values[3])
	return d
}

// both is what the two firings at one side gave. A value that is not known is that of the other firing.
func both(first, second *jsonval.Value) *jsonval.Value {
	var list jsonval.Value
	list.Kind = jsonval.Array
	for _, v := range []*jsonval.Value{first, second} {
		if v != nil {
			list.Elems = append(list.Elems, *v)
		}
	}
	return &list
}
