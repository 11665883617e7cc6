package effects

import (
	"container/list"
	"strings"

	"tandem/capture"
)

// Work is what one firing of an invocation did, as far as this endpoint saw it.
type Work struct {
	// Effects are in the order in which they were done. It is never nil.
	Effects []capture.Effect `json:"effects"`
	// Reads are the objects that were read and not written by the same firing, each once, as they were when they
	// were first read. Bucket is the S3 name, or, for a container that [Resources] gives none, the URL of the container.
	Reads []capture.Object `json:"reads,omitempty"`
}

// Stats counts what a server has seen.
type Stats struct {
	Effects      int64 // attributed and not
	Reads        int64 // objects served, by GET, HEAD or as the source of a copy
	Unattributed int64 // effects that belong to no invocation; what is written to prepare a run is among them
	Dropped      int64 // invocations whose work was given up because nobody took it
	Unsupported  int64 // requests answered with 501
	// UnsupportedOperations says which those were: the first 20 that differ, in order.
	UnsupportedOperations []string
}

const maxUnsupported = 20

// A job is the work of one tag while it is kept.
type job struct {
	tag     string
	run     string          // of the replay that fired it; "" for other work
	inv     string          // the ID of the invocation
	own     map[ref]*object // what it wrote and deleted
	effects []capture.Effect
	reads   []capture.Object
	read    map[ref]bool
	closed  bool          // taken or dropped: nothing more can be added
	place   *list.Element // in ledger.order
}

// A ledger keeps jobs until they are taken. It is not safe for concurrent use.
type ledger struct {
	max   int
	jobs  map[string]*job
	order *list.List // of *job, oldest first
	stats Stats
}

func newLedger(maxTags int) ledger {
	return ledger{max: maxTags, jobs: make(map[string]*job), order: list.New()}
}

// open returns the job of tag, which it makes if there is none.
func (l *ledger) open(tag string) *job {
	if j, ok := l.jobs[tag]; ok {
		return j
	}
	j := &job{tag: tag, inv: tag, own: make(map[ref]*object), read: make(map[ref]bool)}
	if m, err := capture.ParseMark(tag); err == nil {
		j.run, _, _ = strings.Cut(m.Run, ".") // a session that resumes a run has its number behind a dot
		j.inv = m.Invocation
	}
	j.place = l.order.PushBack(j)
	l.jobs[tag] = j
	for l.order.Len() > l.max {
		l.close(l.order.Front().Value.(*job))
		l.stats.Dropped++
	}
	return j
}

func (l *ledger) close(j *job) {
	j.closed = true
	l.order.Remove(j.place)
	delete(l.jobs, j.tag)
}

func (l *ledger) take(tag string) (Work, bool) {
	j, ok := l.jobs[tag]
	if !ok {
		return Work{}, false
	}
	l.close(j)
	w := Work{Effects: j.effects, Reads: j.reads}
	if w.Effects == nil {
		w.Effects = []capture.Effect{}
	}
	return w, true
}

// did adds an effect to j, which is nil when nobody is worked for.
func (l *ledger) did(j *job, e capture.Effect) {
	l.stats.Effects++
	if j == nil || j.closed {
		l.stats.Unattributed++
		return
	}
	j.effects = append(j.effects, e)
}

// readObject notes that j read o at r, from the bucket of that name.
func (l *ledger) readObject(j *job, r ref, bucket string, o *object) {
	l.stats.Reads++
	if j == nil || j.closed || j.read[r] || j.own[r] != nil {
		return
	}
	j.read[r] = true
	j.reads = append(j.reads, capture.Object{
		Bucket: bucket, Key: r.key, VersionID: o.versionID, ContentType: o.contentType, Size: o.size, SHA256: o.sha256,
	})
}

func (l *ledger) unsupported(operation string) {
	l.stats.Unsupported++
	if len(l.stats.UnsupportedOperations) >= maxUnsupported {
		return
	}
	for _, known := range l.stats.UnsupportedOperations {
		if known == operation {
			return
		}
	}
	l.stats.UnsupportedOperations = append(l.stats.UnsupportedOperations, operation)
}
