package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"tandem/capture"
	"tandem/replay/rewrite"
)

// A RewriteRef says what a rule of a target's rewriting did, without the values that it put in.
type RewriteRef struct {
	At  string `json:"at"` // a JSON pointer, "header NAME", or the rule's own name
	How string `json:"how"`
	// Values counts those that it took, in the last session; in a [Forecast], with each invocation once. A rule with
	// none was of no use.
	Values int64 `json:"values"`
	// Unsigned counts those with tokens and signatures that it could not make anew, and left.
	Unsigned int64 `json:"unsigned,omitempty"`
}

func rewriteRefs(rules []rewrite.Change) []RewriteRef {
	var refs []RewriteRef
	for _, r := range rules {
		refs = append(refs, RewriteRef{At: r.Place(), How: r.How()})
	}
	return refs
}

// A rewriting is a target that is sent events as rules make them. What comes back is told of as if they had been sent
// as they were recorded.
type rewriting struct {
	target   Target
	rewriter *rewrite.Rewriter
	fired    []ruleCount // by rule
	checked  []ruleCount
}

type ruleCount struct{ values, unsigned atomic.Int64 }

func addCounts(to []ruleCount, counts []rewrite.Count) {
	for i, n := range counts {
		to[i].values.Add(n.Values)
		to[i].unsigned.Add(n.Unsigned)
	}
}

// newRewriting needs valid rules.
func newRewriting(target Target, rules []rewrite.Change, opts rewrite.Options) *rewriting {
	rewriter, err := rewrite.New(rules, opts)
	if err != nil {
		panic(fmt.Sprintf("rules that Options.withDefaults has validated: %v", err))
	}
	return &rewriting{target, rewriter, make([]ruleCount, len(rules)), make([]ruleCount, len(rules))}
}

// Prepare implements [Preparer].
func (r *rewriting) Prepare(inv *capture.Invocation) (Target, error) {
	changed, counts, err := r.rewrite(inv)
	if err != nil {
		return nil, err
	}
	addCounts(r.checked, counts)
	target, err := prepare(r.target, changed)
	if err != nil {
		return nil, err
	}
	return &rewritten{r, target, changed, counts}, nil
}

// Fire implements [Target].
func (r *rewriting) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	prepared, err := r.Prepare(inv)
	if err != nil {
		return Unreplayable("%v", err), nil
	}
	return prepared.Fire(ctx, inv)
}

// A rewritten is a rewriting of one invocation.
type rewritten struct {
	by      *rewriting
	target  Target
	changed *capture.Invocation
	counts  []rewrite.Count // by rule
}

// Fire implements [Target].
func (r *rewritten) Fire(ctx context.Context, inv *capture.Invocation) (*capture.Outcome, error) {
	addCounts(r.by.fired, r.counts)
	out, err := r.target.Fire(ctx, r.changed)
	if out != nil && len(out.Records) > 0 && r.changed != inv {
		out.Records = recordedFates(out.Records, inv.Event, r.changed.Event)
	}
	return out, err
}

func (r *rewriting) rewrite(inv *capture.Invocation) (*capture.Invocation, []rewrite.Count, error) {
	event, counts, err := r.rewriter.Event(inv.Event)
	if err != nil || bytes.Equal(event, inv.Event) {
		return inv, counts, err
	}
	changed := *inv
	changed.Event, changed.Parsed = event, nil
	changed.Parse()
	changed.Objects = renamedObjects(inv.Objects, inv.Event, event)
	return &changed, counts, nil
}

// tellRules completes what is said of rules.
func tellRules(refs []RewriteRef, counts []ruleCount) {
	for i := range refs {
		refs[i].Values, refs[i].Unsigned = counts[i].values.Load(), counts[i].unsigned.Load()
	}
}

func (m *RunManifest) rewriteOptions() rewrite.Options {
	return rewrite.Options{Run: m.ID, Shift: time.Duration(m.ShiftSeconds) * time.Second}
}

// records is what of an event's records names messages and objects.
type records []struct {
	MessageID string `json:"messageId"`
	S3        struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key string `json:"key"`
		} `json:"object"`
	} `json:"s3"`
}

func recordsOf(event []byte) records {
	var doc struct{ Records records }
	if json.Unmarshal(event, &doc) != nil {
		return nil
	}
	return doc.Records
}

// recordedFates returns the fates of messages under the IDs that were recorded, which other targets' outcomes have.
func recordedFates(fates map[string]capture.Fate, recorded, sent []byte) map[string]capture.Fate {
	was, is := recordsOf(recorded), recordsOf(sent)
	out := maps.Clone(fates)
	for i := range min(len(was), len(is)) {
		delete(out, is[i].MessageID)
	}
	for i := range min(len(was), len(is)) {
		if fate, ok := fates[is[i].MessageID]; ok {
			out[was[i].MessageID] = fate
		}
	}
	return out
}

// renamedObjects returns objects with the names that the event, as it is sent, has for them.
func renamedObjects(objects []capture.Object, recorded, sent []byte) []capture.Object {
	if len(objects) == 0 {
		return objects
	}
	was, is := recordsOf(recorded), recordsOf(sent)
	out := slices.Clone(objects)
	for i := range objects {
		for j := range min(len(was), len(is)) {
			from, to := was[j].S3, is[j].S3
			if o := &objects[i]; o.Bucket == from.Bucket.Name && o.Key == decodedKey(from.Object.Key) {
				out[i].Bucket, out[i].Key = to.Bucket.Name, decodedKey(to.Object.Key)
			}
		}
	}
	return out
}

// decodedKey is an object's key, which events have form-encoded.
func decodedKey(key string) string {
	if decoded, err := url.QueryUnescape(key); err == nil {
		return decoded
	}
	return key
}

// shiftsTime reports whether a rule of any target does.
func (o *Options) shiftsTime() bool {
	for _, deployments := range o.Targets {
		for _, d := range deployments {
			if slices.ContainsFunc(d.Rewrite, func(r rewrite.Change) bool { return r.ShiftsTime() }) {
				return true
			}
		}
	}
	return false
}

// timeShift returns what makes the newest invocation that is selected one of now, in whole seconds; 0 when no rule
// shifts times.
func (o *Options) timeShift(ctx context.Context, sel *selector) (time.Duration, error) {
	if !o.shiftsTime() {
		return 0, nil
	}
	var newest time.Time
	for inv, err := range o.Recording.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		if inv.Time.After(newest) && sel.has(inv, LanesOf(inv)) {
			newest = inv.Time
		}
	}
	if newest.IsZero() {
		return 0, errors.New("a rule has shift-time, and no invocation has a time that says by how much")
	}
	return time.Since(newest).Truncate(time.Second), nil
}
