package compare

import (
	"hash/maphash"
	"slices"

	"tandem/capture/jsonval"
)

const (
	// maxTries is how often elements of two lists are compared before those that are left count as without partner,
	// but each may try minTries. Only values that rules blur come to it: others are found by their digest.
	maxTries = 300_000
	minTries = 50
	// maxPuzzle is up to how many like elements the most pairs are found for, not just many.
	maxPuzzle = 64
)

// assign pairs up elements of two lists that agree: those in the same position first, then in order, and then by
// giving earlier ones other partners if that makes more pairs. Elements with different digests do not agree. It
// returns the index of each element's partner, or -1.
func assign(b, c []uint64, agree func(i, j int) bool) []int {
	partner := make([]int, len(b))
	taken := make([]int, len(c)) // by which element of b
	for j := range taken {
		taken[j] = -1
	}
	for i := range b {
		partner[i] = -1
		if i < len(c) && b[i] == c[i] && agree(i, i) {
			partner[i], taken[i] = i, i
		}
	}
	free := make(map[uint64][]int)
	like := make(map[uint64][]int)
	for j, digest := range c {
		like[digest] = append(like[digest], j)
		if taken[j] < 0 {
			free[digest] = append(free[digest], j)
		}
	}
	tries := max(minTries, maxTries/max(len(b), 1))
	for i, digest := range b {
		if partner[i] >= 0 {
			continue
		}
		for k, j := range free[digest] {
			if k >= tries {
				break
			}
			if agree(i, j) {
				partner[i], taken[j] = j, i
				free[digest] = append(free[digest][:k:k], free[digest][k+1:]...)
				break
			}
		}
	}
	for i, digest := range b {
		if partner[i] < 0 && len(free[digest]) > 0 && len(like[digest]) <= maxPuzzle {
			augment(i, like[digest], partner, taken, agree, make(map[int]bool))
		}
	}
	return partner
}

// augment looks for a partner for i, of whom the present one may move on to another.
func augment(i int, like, partner, taken []int, agree func(i, j int) bool, tried map[int]bool) bool {
	for _, j := range like {
		if tried[j] || !agree(i, j) {
			continue
		}
		tried[j] = true
		if taken[j] < 0 || augment(taken[j], like, partner, taken, agree, tried) {
			partner[i], taken[j] = j, i
			return true
		}
	}
	return false
}

var digestSeed = maphash.MakeSeed()

// digest is equal for values that any rules at or below p could take as equal. Its value is another in each process.
func digest(p *place, v *jsonval.Value) uint64 {
	const prime = 1099511628211
	sum := uint64(v.Kind) + 2 + uint64(v.Form)<<8
	blurred, unordered := p.blurs(v.Kind)
	switch {
	case blurred:
		return 1
	case unordered:
		if p.uniform(len(v.Elems)) {
			for i := range v.Elems {
				sum += digest(p.atIndex(i), &v.Elems[i]) * prime
			}
		}
		return sum*prime + uint64(len(v.Elems))
	}
	switch v.Kind {
	case jsonval.Number:
		sum = sum*prime ^ jsonval.HashNumber(digestSeed, v.Text)
	case jsonval.Array:
		for i := range v.Elems {
			sum = sum*prime ^ digest(p.atIndex(i), &v.Elems[i])
		}
	case jsonval.Object:
		for i, name := range v.Names {
			if below := p.at(name); below.ignoring() == nil {
				sum += maphash.String(digestSeed, name) ^ digest(below, &v.Elems[i])*prime
			}
		}
	default:
		sum = sum*prime ^ maphash.String(digestSeed, v.Text)
	}
	return sum
}

// only reports whether all rules at p treat so.
func (p *place) only(t Treatment) bool {
	return !slices.ContainsFunc(p.here, func(r *rule) bool { return r.Treat != t })
}

// blurs reports whether the rules at p could take any two values as equal of which one is of this kind, or else any two
// lists with equal elements.
func (p *place) blurs(kind jsonval.Kind) (any, unordered bool) {
	if p == nil {
		return false, false
	}
	for _, r := range p.here {
		switch r.Treat {
		case Unordered:
			unordered = kind == jsonval.Array
		case JSON, Lower, Time, Map, Redacted:
			any = any || kind == jsonval.String
		case Alias, Tolerance, Pattern:
			any = any || kind == jsonval.String || kind == jsonval.Number
		default:
			return true, false
		}
	}
	return any, unordered
}

// uniform reports whether rules treat every element of a list of n alike.
func (p *place) uniform(n int) bool {
	if p == nil || len(p.literals)+len(p.prefixes) == 0 {
		return true
	}
	for i := range n {
		if p.atIndex(i) != p.other {
			return false
		}
	}
	return true
}

// digests returns the digests of a list's elements: all the same where rules may treat them differently.
func digests(p *place, list []jsonval.Value, uniform bool) []uint64 {
	all := make([]uint64, len(list))
	if uniform {
		for i := range list {
			all[i] = digest(p.atIndex(i), &list[i])
		}
	}
	return all
}
