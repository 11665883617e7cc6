package main

import (
	"crypto/sha256"
	"encoding/binary"

	"tandem/capture"
)

// maxShapes bounds what a sampler remembers. A function with more shapes than that has no shapes to speak of.
const maxShapes = 10_000

// A sampler decides which invocations are recorded, as config says. It is used by one goroutine at a time. Shapes are
// counted from when it was made, so in each environment on its own.
type sampler struct {
	config config
	shapes map[string]int
}

// keep tells whether inv is recorded. The rate comes first, so that it bounds what recording costs. It goes by the
// request ID, so that the attempts of one invocation are recorded together or not at all.
func (s *sampler) keep(inv *capture.Invocation) bool {
	if s.config.sample < 1 && place(inv.Context.RequestID) >= s.config.sample {
		return false
	}
	if s.config.keepPerShape == 0 {
		return true
	}
	shape := capture.Shape(inv.Event)
	n, known := s.shapes[shape]
	if !known && len(s.shapes) >= maxShapes {
		shape = ""
		n = max(s.shapes[shape], s.config.keepPerShape)
	}
	s.shapes[shape] = n + 1
	rest := n - s.config.keepPerShape
	return rest < 0 || s.config.sampleRest > 0 && (rest+1)%s.config.sampleRest == 0
}

// place spreads texts evenly over 0 to 1, without 1.
func place(text string) float64 {
	sum := sha256.Sum256([]byte(text))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}
