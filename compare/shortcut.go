package compare

import (
	"bytes"
	"strconv"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/capture/redact"
)

// A shortcut proves that two outcomes match, which most do, in a fraction of the time that comparing their documents
// takes. It gives up where they may not; then [judge.documents], the obvious way, says what is what. What it counts
// and the aliases that it finds are those of the obvious way.
//
// It goes over the texts of both outcomes at once, consults the places where rules end, and sets aside as a [puzzle]
// each pair of values whose texts differ. Only puzzles are made into values, and compared as documents are. The zero
// value is ready for use, for one pair of outcomes after the other.
type shortcut struct {
	rules *functionRules
	tally *tally
	lists listScope

	found   []aliasPair // by the search that goes on
	pairs   []aliasPair
	names   renaming
	puzzles []puzzle
	text    []byte   // the candidate's
	ignored [][]byte // parts of text that rules ignore
	base    string   // path of what is gone over
	path    []pathStep

	flatB, flatC flatList
	texts        jsonval.Texts
	spelled      []byte            // the last path that was spelled
	paths        map[string]string // those that were
}

// A pathStep is one step of a path.
type pathStep struct {
	name  []byte
	index int // where name is nil
}

// A puzzle is two values whose texts differ: those at a place, or the members of two objects there from the first
// whose names differ on.
type puzzle struct {
	place *place
	path  string
	rest  bool
	b, c  jsonval.Value
	part  []byte // of the candidate's text, with c in it
	named bool   // an alias may stand in it
}

// matched reports whether two outcomes match under rules. If so, tally has what was counted, and aliases are those
// that were found, until the next call.
func (s *shortcut) matched(rules *functionRules, count int, b, c *capture.OutcomeText) (aliases []aliasPair, ok bool) {
	s.reset(rules, count)
	s.text = c.Raw
	switch {
	case rules.root.settles(), b.Status != capture.StatusOK, c.Status != capture.StatusOK, b.Error != nil, c.Error != nil,
		b.Tries != nil, c.Tries != nil,
		b.HTTP != c.HTTP, b.HTTP && (b.Result.Form != capture.NoBody || c.Result.Form != capture.NoBody),
		b.Watched != c.Watched, len(b.Effects) != len(c.Effects):
		return nil, false
	}
	s.lists = outsideUnordered
	if !s.status(b, c) || b.HTTP && !s.answer(b, c) || !s.result(b, c) || !s.records(b, c) {
		return nil, false
	}
	s.know()
	if rules.aliases && rules.unordered {
		s.searchInside()
	}
	if !s.effects(b, c) || !s.consistent() || !s.solve() {
		return nil, false
	}
	for _, p := range s.pairs {
		if p.baseline != p.candidate {
			s.tally.hit(p.rule)
		}
	}
	return s.pairs, true
}

func (s *shortcut) reset(rules *functionRules, count int) {
	if s.tally == nil || len(s.tally.hits) != count {
		s.tally = newTally(count)
	}
	s.tally.clear()
	clear(s.puzzles)
	clear(s.pairs)
	s.rules, s.names = rules, s.names.cleared()
	s.found, s.pairs, s.puzzles, s.ignored, s.path = s.found[:0], s.pairs[:0], s.puzzles[:0], s.ignored[:0], s.path[:0]
}

// ruled reports whether rules end at p.
func (p *place) ruled() bool { return p != nil && len(p.here) > 0 }

// settles reports whether rules end at p that are asked about lists and objects.
func (p *place) settles() bool { return p != nil && !p.only(Redacted) }

var statusOK = []byte(`"` + capture.StatusOK + `"`)

// status is that of the invocations, which is "ok". It does not count where messages have fates; see [dropBatchStatus].
func (s *shortcut) status(b, c *capture.OutcomeText) bool {
	if hasMembers(b.Records) && hasMembers(c.Records) {
		s.tally.leaves++
		return true
	}
	return s.leafAt(s.rules.root.at("status"), "/status", statusOK)
}

// hasMembers reports whether there is an object, and something in it.
func hasMembers(object []byte) bool { return object != nil && !isEmpty(object) }

// leafAt goes over a leaf that both sides have.
func (s *shortcut) leafAt(p *place, path string, text []byte) bool {
	s.base, s.path = path, s.path[:0]
	return s.leaf(p, text, text)
}

// leaf goes over two values that are neither lists nor objects.
func (s *shortcut) leaf(p *place, b, c []byte) bool {
	if !bytes.Equal(b, c) {
		return s.puzzle(p, b, c, 1)
	}
	if p.ruled() {
		v, ok := s.leafOf(b)
		if !ok {
			return false
		}
		if p.has(Redacted) && v.Kind == jsonval.String && redact.Stands(v.Text) {
			return s.values(p, v, v, c, 1)
		}
		if p.aliases && p.has(Alias) {
			s.search(p, s.here(), false, &v, &v)
		}
		s.equal(p, 1, false)
	}
	s.tally.leaves++
	return true
}

// equal counts what rules at a place say to two equal values with so many leaves, and reports whether one of them
// leaves nothing to look at below. List is whether the values have elements.
func (s *shortcut) equal(p *place, leaves int, list bool) bool {
	for _, r := range p.here {
		if r.Treat == Redacted {
			continue // it was asked, or has nothing to say
		}
		s.tally.applied[r.index]++
		switch {
		case r.Treat == Ignore || r.Treat == Type:
			s.tally.ignored += int64(leaves)
			s.tally.under[r.index] += int64(leaves)
			return true
		case !list:
			s.tally.under[r.index]++
		case r.Treat == Unordered:
			s.tally.under[r.index] += int64(leaves)
		}
	}
	return false
}

func (s *shortcut) answer(b, c *capture.OutcomeText) bool {
	p := s.rules.root.at("http")
	if p.settles() || b.HTTPStatus != c.HTTPStatus ||
		!s.leafAt(p.at("status"), "/http/status", strconv.AppendInt(nil, int64(b.HTTPStatus), 10)) {
		return false
	}
	coded, ok := s.headers(p.at("headers"), b, c)
	if !ok || !s.cookies(p.at("cookies"), b, c) {
		return false
	}
	contentType := s.flatB.single("content-type")
	if !bytes.Equal(contentType, s.flatC.single("content-type")) {
		contentType = nil // and text is read in two ways
	}
	return s.body(s.rules.root.at("body"), "/body", &b.Body, &c.Body, contentType, coded)
}

func (s *shortcut) cookies(p *place, b, c *capture.OutcomeText) bool {
	listB, okB := b.CookieList()
	listC, okC := c.CookieList()
	if !okB || !okC {
		return false
	}
	s.base, s.path = "/http/cookies", s.path[:0]
	x, y := cookiesValue(listB), cookiesValue(listC)
	return s.normalized(p, x, y, c.Cookies, leaves(x))
}

func (s *shortcut) result(b, c *capture.OutcomeText) bool {
	return s.body(s.rules.root.at("result"), "/result", &b.Result, &c.Result, nil, false)
}

func (s *shortcut) records(b, c *capture.OutcomeText) (ok bool) {
	p := s.rules.root.at("records")
	if s.flatB, s.flatC, ok = flatMembers(s.flatB, s.flatC, b.Records, c.Records); !ok || p.settles() ||
		(len(s.flatB) == 0) != (len(s.flatC) == 0) {
		return false
	}
	s.base, s.path = "/records", s.path[:0]
	return s.merge(p, isTextMember, func(p *place, _, b, c []byte) bool { return s.leaf(p, b, c) })
}

// here spells the path of the value that is gone over. Most are the same from trial to trial.
func (s *shortcut) here() string {
	const most = 1000
	s.spelled = append(s.spelled[:0], s.base...)
	for _, at := range s.path {
		if at.name == nil {
			s.spelled = strconv.AppendInt(append(s.spelled, '/'), int64(at.index), 10)
		} else {
			s.spelled = appendChild(s.spelled, at.name)
		}
	}
	path, ok := s.paths[string(s.spelled)]
	if !ok {
		path = string(s.spelled)
		if s.paths == nil || len(s.paths) >= most {
			s.paths = make(map[string]string)
		}
		s.paths[path] = path
	}
	return path
}
