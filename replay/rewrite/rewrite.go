package rewrite

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"tandem/capture/jsonval"
)

// Options are what rules take from the run.
type Options struct {
	Run   string        // its ID, which namespaces are made of
	Shift time.Duration // of times, in whole seconds
	// Now gives the time for what is signed as of the moment; default time.Now.
	Now func() time.Time
}

// A Count says what a rule did.
type Count struct {
	Values int64 // that it took
	// Unsigned counts what was to be signed anew and was left as it was: tokens that are redacted or cannot be read,
	// and signatures over something that the event does not have.
	Unsigned int64
}

// A verdict is what a rule makes of a value that its pattern leads to.
type verdict int

const (
	passed   verdict = iota // the next rule may have it
	took                    // the value is as the rule wants it
	unsigned                // like passed, and told
)

// A rule is what a [Change], or a part of one, comes to.
type rule struct {
	source   int // index of the Change, which counts; noSource for none
	patterns []pattern
	// text returns edits of a text, in order.
	text func(text []byte) ([]jsonval.Edit, verdict)
	// scalar returns what stands for a number or a literal. Nil passes all.
	scalar func(text string) (string, verdict)
}

const noSource = -1

// rules are walked over a document together.
type rules struct {
	list  []rule
	start []position
}

func (rs *rules) add(r rule) {
	for i := range r.patterns {
		rs.start = skipped(rs.start, position{rule: len(rs.list), pattern: &r.patterns[i]})
	}
	rs.list = append(rs.list, r)
}

// A Rewriter applies rules to events. It is safe for concurrent use.
type Rewriter struct {
	changes    int
	rules      rules
	signatures []signature
	opts       Options
}

// New returns what applies rules. Where several end at one value, the first that can change it does. Those that sign
// come after all others.
func New(changes []Change, opts Options) (*Rewriter, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	r := &Rewriter{changes: len(changes), opts: opts}
	for i := range changes {
		c := &changes[i]
		if err := c.Validate(); err != nil {
			return nil, err
		}
		if c.Sign != "" {
			signatures, err := c.signatures()
			if err != nil {
				return nil, err
			}
			for _, s := range signatures {
				s.source = i
				r.signatures = append(r.signatures, s)
			}
			continue
		}
		compiled, err := c.compile(opts)
		if err != nil {
			return nil, err
		}
		for _, one := range compiled {
			one.source = i
			r.rules.add(one)
		}
	}
	return r, nil
}

// compile returns the rules that a Change, which does not sign, stands for.
func (r *Change) compile(opts Options) ([]rule, error) {
	switch {
	case r.Hosts != nil:
		return r.Hosts.rules(hostPlaces)
	case r.Bucket != nil:
		return r.Bucket.rules(bucketPlaces)
	case r.Queue != nil:
		return r.Queue.rules(queuePlaces)
	}
	one := rule{patterns: headerPatterns(r.Header)}
	if r.Header == "" {
		segments, err := parsePattern(r.At)
		if err != nil {
			return nil, err
		}
		one.patterns = []pattern{{segments: segments}}
	}
	switch {
	case r.JWT != nil:
		s, err := r.JWT.signer()
		if err != nil {
			return nil, err
		}
		s.opts = opts
		one.text = s.resign
	case r.Set != nil:
		one.text, one.scalar = setter(*r.Set)
	case r.From != "":
		one.text = replacer([]byte(r.From), []byte(*r.To))
	case r.Namespace:
		one.text = namespacer(opts.Run)
	default:
		one.text, one.scalar = shifter(opts.Shift)
	}
	return []rule{one}, nil
}

// Event returns an event as the rules make it, and what each of them did. All other bytes are those of event, which
// is not changed, but for lengths and hashes that were right and no longer would be.
func (r *Rewriter) Event(event []byte) (rewritten []byte, counts []Count, err error) {
	counts = make([]Count, r.changes)
	if !json.Valid(event) {
		return event, counts, errors.New("the event is not JSON, which rules could be applied to")
	}
	rewritten = r.rules.apply(event, counts)
	if !bytes.Equal(rewritten, event) {
		rewritten = settle(event, rewritten)
	}
	if len(r.signatures) > 0 {
		rewritten = r.sign(rewritten, counts)
	}
	return rewritten, counts, nil
}

// apply applies rules to a document, which is valid JSON.
func (rs *rules) apply(doc []byte, counts []Count) []byte {
	if len(rs.list) == 0 {
		return doc
	}
	w := walker{rules: rs.list, src: doc, counts: counts}
	w.space()
	w.value(append(base64Places(doc), rs.start...))
	if len(w.edits) == 0 {
		return doc
	}
	return jsonval.Splice(doc, 0, w.edits)
}
