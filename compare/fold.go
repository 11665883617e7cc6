package compare

import (
	"strings"

	"tandem/capture"
)

// fold joins the differences of one trial that have one cause, so that each cause is counted once. The first place in
// document order stands for all, and the others are listed in its Also.
func fold(found []Difference) []Difference {
	return foldConsequences(foldEqual(foldNames(found)))
}

// foldEqual joins changes of fields of one name from one value to another: a wrong total is one mistake, though it
// shows in the answer, in a stored object and in a message.
func foldEqual(found []Difference) []Difference {
	var kept []Difference
	first := make(map[string]int)
	for _, d := range found {
		if d.Baseline != nil && d.Candidate != nil {
			key := string(d.Kind) + "\x00" + d.Path[strings.LastIndexByte(d.Path, '/'):] + "\x00" +
				d.Baseline.String() + "\x00" + d.Candidate.String()
			if i, ok := first[key]; ok {
				kept[i].Also = append(kept[i].Also, d.Path)
				continue
			}
			first[key] = len(kept)
		}
		kept = append(kept, d)
	}
	return kept
}

// foldConsequences finds whether one side failed where the other did not, and lists what follows from that in the
// Also of the failure: a function that fails lacks its answer and its effects.
func foldConsequences(found []Difference) []Difference {
	root := -1
	for i, d := range found {
		if isFailure(d) {
			root = i
			break
		}
	}
	if root < 0 {
		return found
	}
	var kept, folded []Difference
	for i, d := range found {
		if i != root && follows(found[root], d) {
			folded = append(folded, d)
		} else {
			kept = append(kept, d)
		}
	}
	for i := range kept {
		if kept[i].Path == found[root].Path {
			for _, d := range folded {
				kept[i].Also = append(kept[i].Also, d.Path)
			}
		}
	}
	return kept
}

// isFailure reports whether a difference says that one side succeeded where the other did not.
func isFailure(d Difference) bool {
	if d.Baseline == nil || d.Candidate == nil || d.Kind != Changed {
		return false
	}
	if d.Path == "/http/status" {
		return (d.Baseline.Text < "400") != (d.Candidate.Text < "400")
	}
	return d.Path == "/status" || strings.HasPrefix(d.Path, "/records/")
}

// follows reports whether d is no more than a consequence of the failure.
func follows(failure, d Difference) bool {
	switch {
	case strings.HasPrefix(d.Path, "/effects/"):
		return d.Kind == Missing || d.Kind == Extra
	case strings.HasPrefix(failure.Path, "/records/"):
		return strings.HasPrefix(d.Path, "/records/") && sameFate(failure, d)
	default:
		return true
	}
}

// sameFate reports whether two messages of a batch fared alike: both were lost to a failure, or both escaped one.
func sameFate(a, b Difference) bool {
	return (a.Baseline.Text == string(capture.Acked)) == (b.Baseline != nil && b.Baseline.Text == string(capture.Acked))
}
