package compare

import (
	"testing"

	"tandem/capture/jsonval"
)

// BenchmarkCauses is what each difference costs beside being found.
func BenchmarkCauses(b *testing.B) {
	for _, bench := range []struct {
		name                string
		baseline, candidate jsonval.Value
	}{
		{"texts", jsonval.Text("an order of two things"), jsonval.Text("something else")},
		{"numbers", jsonval.Value{Kind: jsonval.Number, Text: "12.35"}, jsonval.Value{Kind: jsonval.Number, Text: "99.1"}},
		{"times", jsonval.Text("2026-01-01T00:00:00Z"), jsonval.Text("2026-01-01T00:07:01Z")},
	} {
		d := Difference{Path: "/body/v", Kind: Changed, Baseline: &bench.baseline, Candidate: &bench.candidate}
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				causesOf(d)
			}
		})
	}
}
