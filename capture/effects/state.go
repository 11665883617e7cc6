package effects

import (
	"io"
	"slices"
	"strings"

	"tandem/capture"
)

// A state is what the objects of one side are. It is not safe for concurrent use.
type state struct {
	written objects                    // outside of any replay
	runs    []*runState                // the last replays, the newest last
	pinned  objects                    // what was there before the recording
	pins    map[string]map[ref]*object // by invocation
	created map[string]bool            // resources that a client created
	met     seen                       // objects that the recording made, or that are in pinned
}

// objects are by resource and key.
type objects map[string]map[string]*object

// A runState is what the invocations of one replay wrote.
type runState struct {
	run     string
	written objects
}

// maxRuns bounds how many replays' writes are kept.
const maxRuns = 4

func newState() state {
	return state{
		written: make(objects), pinned: make(objects),
		pins: make(map[string]map[ref]*object), created: make(map[string]bool),
	}
}

func (r ref) bytes() []byte { return []byte(r.resource + "\x00" + r.key) }

func (all objects) store(r ref, o *object) {
	keys := all[r.resource]
	if keys == nil {
		keys = make(map[string]*object)
		all[r.resource] = keys
	}
	keys[r.key] = o
}

// write stores o at r: for everybody, or, if j was fired by a replay, for the invocations of that replay, so that each
// replay starts from the same state.
func (st *state) write(j *job, r ref, o *object) {
	if j == nil {
		st.written.store(r, o)
		return
	}
	j.own[r] = o
	if j.run == "" {
		st.written.store(r, o)
	} else {
		st.of(j.run).store(r, o)
	}
}

// of returns what a replay wrote. The oldest replay is forgotten for a new one.
func (st *state) of(run string) objects {
	for _, s := range st.runs {
		if s.run == run {
			return s.written
		}
	}
	if len(st.runs) == maxRuns {
		st.runs = slices.Delete(st.runs, 0, 1)
	}
	s := &runState{run, make(objects)}
	st.runs = append(st.runs, s)
	return s.written
}

// shared returns what others than j itself wrote and j sees, the first to be looked at first.
func (st *state) shared(j *job) []objects {
	if j == nil || j.run == "" {
		return []objects{st.written}
	}
	return []objects{st.of(j.run), st.written}
}

// look returns what j sees at r, or nil if that is nothing. A version other than "" skips the objects that are known
// to be of another version; written objects have the version "null", as in a bucket without versions.
func (st *state) look(j *job, r ref, version string) *object {
	var seen []*object
	if j != nil {
		seen = append(seen, j.own[r], st.pins[j.inv][r])
	}
	for _, all := range append(st.shared(j), st.pinned) {
		seen = append(seen, all[r.resource][r.key])
	}
	for _, o := range seen {
		switch {
		case o == nil || !o.isVersion(version):
		case o.deleted:
			return nil
		default:
			return o
		}
	}
	return nil
}

func (o *object) isVersion(version string) bool {
	if version == "" || o.source != nil && o.versionID == "" {
		return true
	}
	if o.source == nil {
		return version == "null"
	}
	return version == o.versionID
}

// A listed object is one with its key.
type listed struct {
	key string
	*object
}

// list returns what j sees in a resource under a prefix, in the order of the keys' bytes.
func (st *state) list(j *job, resource, prefix string) []listed {
	seen := make(map[string]*object)
	add := func(key string, o *object) {
		if strings.HasPrefix(key, prefix) {
			seen[key] = o
		}
	}
	layers := append(st.shared(j), st.pinned)
	for i := len(layers) - 1; i >= 0; i-- {
		for key, o := range layers[i][resource] {
			add(key, o)
		}
	}
	if j != nil {
		for _, layer := range []map[ref]*object{st.pins[j.inv], j.own} {
			for r, o := range layer {
				if r.resource == resource {
					add(r.key, o)
				}
			}
		}
	}
	all := make([]listed, 0, len(seen))
	for key, o := range seen {
		if !o.deleted {
			all = append(all, listed{key, o})
		}
	}
	slices.SortFunc(all, func(a, b listed) int { return strings.Compare(a.key, b.key) })
	return all
}

// exists says whether a resource was ever named: by the config, by a client that created it, or by an object in it.
func (st *state) exists(d directory, resource string) bool {
	_, named := d.names[resource]
	for _, s := range st.runs {
		named = named || len(s.written[resource]) > 0
	}
	return named || st.created[resource] || len(st.written[resource]) > 0 || len(st.pinned[resource]) > 0
}

// Pin makes the objects of a recorded invocation readable. open returns the bytes of one of them; it is called for each
// read, from several goroutines, and what it returns is closed. Only the index is kept in memory.
//
// The invocation itself sees its objects whatever else there is. Others see those that were there before the recording:
// what an invocation of the recording made is not, so invocations are to be pinned in the order of the recording, also
// those without objects.
func (s *Server) Pin(inv *capture.Invocation, open func(sha256 string) (io.ReadCloser, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range inv.Objects {
		r := ref{s.directory.bucketResource(o.Bucket), o.Key}
		pinned := pinnedObject(o, open)
		if s.state.pins[inv.ID] == nil {
			s.state.pins[inv.ID] = make(map[ref]*object)
		}
		s.state.pins[inv.ID][r] = pinned
		if !s.state.met.add(r.bytes()) {
			s.state.pinned.store(r, pinned)
		}
	}
	if inv.Outcome == nil {
		return
	}
	for _, e := range inv.Outcome.Effects {
		if e.Kind == capture.ObjectPut {
			s.state.met.add(ref{e.Resource, e.Key}.bytes())
		}
	}
}

// Unpin forgets which objects were pinned for an invocation that will not be fired again. Each stays readable as the
// one that was pinned last, until another takes its place.
func (s *Server) Unpin(invocation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.state.pins, invocation)
}

// Content is an object as it is now.
type Content struct {
	ContentType string // as the client sent it
	Size        int64
	SHA256      string // in lower-case hex
	// Open returns the bytes. The caller closes them.
	Open func() (io.ReadCloser, error)
}

// Object returns the current state of an object as anybody sees it who is no invocation. bucket is an S3 name, or
// one of the URLs that [Work] has in its place.
func (s *Server) Object(bucket, key string) (Content, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.state.look(nil, ref{s.directory.bucketResource(bucket), key}, "")
	if o == nil {
		return Content{}, false
	}
	return Content{ContentType: o.contentType, Size: o.size, SHA256: o.sha256, Open: o.open}, true
}

// put stores o at r if check, which gets the object that is there or nil, finds no fault with it.
func (s *Server) put(j *job, r ref, o *object, check func(*object) error) error {
	effect := o.effect(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := check(s.state.look(j, r, "")); err != nil {
		return err
	}
	s.state.write(j, r, o)
	s.ledger.did(j, effect)
	return nil
}

// remove deletes what is at r if check finds no fault with it. It says whether there was anything.
func (s *Server) remove(j *job, r ref, check func(*object) error) (existed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.state.look(j, r, "")
	if err := check(current); err != nil {
		return current != nil, err
	}
	s.state.write(j, r, &object{deleted: true})
	s.ledger.did(j, capture.Effect{Kind: capture.ObjectDelete, Resource: r.resource, Key: r.key})
	return current != nil, nil
}

// read returns what j sees at r, or nil, and notes that it was read.
func (s *Server) read(j *job, r ref, version string) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.state.look(j, r, version)
	if o != nil {
		s.ledger.readObject(j, r, s.directory.bucket(r.resource), o)
	}
	return o
}

func (s *Server) list(j *job, resource, prefix string) []listed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.list(j, resource, prefix)
}

// send notes messages that were sent, in order.
func (s *Server) send(j *job, messages ...capture.Effect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.ledger.did(j, m)
	}
}

// create notes that a resource was created, and says whether it was there before.
func (s *Server) create(resource string) (existed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	existed = s.state.exists(s.directory, resource)
	s.state.created[resource] = true
	return existed
}
