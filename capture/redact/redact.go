package redact

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/capture"
)

// minKey is the length of the shortest key that is taken, in bytes.
const minKey = 16

// Options say how a [Redactor] works. The zero value is for credentials, with a random key.
type Options struct {
	// Key makes the tokens. Recordings made with one key have equal tokens for equal values. It has 16 bytes or more;
	// without one, a random key is made, which is in memory only.
	Key []byte
	// Rules are valid.
	Rules []Rule
}

// A Redactor replaces secrets. It is safe for concurrent use, and implements [capture.Redactor].
type Redactor struct {
	tokens   *tokenizer
	given    bool
	names    map[string]place // of rules
	pointers []pointer
	forms    formSet
	classes  *[256]class
	binary   *[256]class // for what is no text: credentials alone
}

// New makes a Redactor. It fails when the key is too short, or a rule is not valid.
func New(opts Options) (*Redactor, error) {
	key := opts.Key
	switch {
	case key == nil:
		key = make([]byte, 32)
		rand.Read(key)
	case len(key) < minKey:
		return nil, fmt.Errorf("redact: a key of %d bytes is too short: it needs %d", len(key), minKey)
	}
	r := &Redactor{tokens: newTokenizer(key), given: opts.Key != nil, names: make(map[string]place)}
	for _, rule := range opts.Rules {
		if err := rule.Validate(); err != nil {
			return nil, err
		}
		r.add(rule)
	}
	r.classes, r.binary = classes(r.forms), classes(0)
	return r, nil
}

func (r *Redactor) add(rule Rule) {
	switch {
	case rule.At != "":
		r.pointers = append(r.pointers, newPointer(rule))
	case rule.Form != "":
		r.forms |= 1 << slices.Index(Forms, rule.Form)
	case rule.Keep:
		r.names[normalized([]byte(rule.Name))] = place{role: kept}
	default:
		r.names[normalized([]byte(rule.Name))] = place{role: secret, kind: "name:" + rule.Name, deep: true}
	}
}

// Key implements [capture.Redactor].
func (r *Redactor) Key() (source capture.KeySource, id string) {
	source = capture.KeyRandom
	if r.given {
		source = capture.KeyGiven
	}
	sum := r.tokens.sum([]byte("tandem: the id of this key"))
	return source, fmt.Sprintf("%x", sum[:4])
}

// Redact implements [capture.Redactor].
func (r *Redactor) Redact(inv *capture.Invocation) (*capture.Invocation, map[string]int64) {
	p := pass{redactor: r}
	out := p.invocation(inv)
	if len(p.hits) == 0 && !p.keyID {
		return inv, nil
	}
	replaced := make(map[string]int64)
	p.count(replaced)
	for n := 1; n < maxPasses && (p.loose || p.keyID && !p.keys); n++ {
		p = pass{redactor: r, keys: p.keys || p.keyID}
		out = p.invocation(out)
		p.count(replaced)
	}
	if len(replaced) == 0 {
		return inv, nil
	}
	return out, replaced
}

func (p *pass) count(replaced map[string]int64) {
	for _, h := range p.hits {
		replaced[h.Kind]++
	}
}

// maxPasses is how often text is looked through at most, until nothing more is replaced: what is around a token may
// be taken for another secret then. Fewer than this were ever needed.
const maxPasses = 8

// A Find is a place where a recording has something that would have been replaced.
type Find struct {
	// At is a JSON pointer into the line of the invocation. It leads through JSON in strings, and ends at text in
	// which the find is only a part.
	At   string `json:"at"`
	Kind string `json:"kind"`
}

// Find returns the places of what [Redactor.Redact] would replace.
func (r *Redactor) Find(inv *capture.Invocation) []Find {
	return r.find(func(p *pass) { p.invocation(inv) })
}

// FindText returns the places of what would be replaced in content, such as that of an object, that is no part of an
// invocation.
func (r *Redactor) FindText(content []byte) []Find {
	return r.find(func(p *pass) { p.content(content) })
}

func (r *Redactor) find(in func(*pass)) []Find {
	p := pass{redactor: r, locate: true}
	if in(&p); p.keyID {
		p = pass{redactor: r, locate: true, keys: true}
		in(&p)
	}
	return p.hits
}

// A pass goes over one invocation.
type pass struct {
	redactor *Redactor
	locate   bool // hits say where they are
	path     []segment
	edits    []edit // of the text that is being looked into
	hits     []Find
	nesting  int
	keyID    bool // there is an AWS access key ID, so a secret key may be anywhere
	keys     bool // which is looked for
	loose    bool // something was replaced in text without structure
	binary   bool // what is looked into is no text
	inflated int  // bytes that were decompressed
}

// A segment is one step of a path: into an object, or with an index from 0 into a list.
type segment struct {
	name  []byte
	index int
}

func (s segment) String() string {
	if s.index >= 0 && s.name == nil {
		return strconv.Itoa(s.index)
	}
	return string(s.name)
}

// A mark is what there was at some time.
type mark struct {
	edits, hits int
	loose       bool
}

func (p *pass) mark() mark { return mark{len(p.edits), len(p.hits), p.loose} }

func (p *pass) rollback(to mark) {
	p.edits, p.hits, p.loose = p.edits[:to.edits], p.hits[:to.hits], to.loose
}

func (p *pass) token(value []byte) []byte { return p.redactor.tokens.token(value) }

func (p *pass) hit(kind string) {
	h := Find{Kind: kind}
	if p.locate {
		var at strings.Builder
		escape := strings.NewReplacer("~", "~0", "/", "~1")
		for _, s := range p.path {
			at.WriteByte('/')
			escape.WriteString(&at, s.String())
		}
		h.At = at.String()
	}
	p.hits = append(p.hits, h)
}

// pointed returns what rules say of the value at the path; the last one that says something counts.
func (p *pass) pointed(pl place) place {
	for i := len(p.redactor.pointers) - 1; i >= 0; i-- {
		if matches(p.redactor.pointers[i].segments, p.path) {
			return p.redactor.pointers[i].place
		}
	}
	return pl
}

// in does something below the members or elements that are named.
func (p *pass) in(do func(), steps ...any) {
	before := len(p.path)
	for _, s := range steps {
		switch s := s.(type) {
		case string:
			p.path = append(p.path, segment{name: []byte(s), index: -1})
		case int:
			p.path = append(p.path, segment{index: s})
		}
	}
	do()
	p.path = p.path[:before]
}
