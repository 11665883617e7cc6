package collector

import "crypto/sha256"

// A key stands for a text of any length.
type key [16]byte

// recent is a map that forgets what was put first when it is full.
type recent[V any] struct {
	values map[key]V
	order  []key
	oldest int // in order, once it is full
}

func newRecent[V any](size int) *recent[V] {
	return &recent[V]{values: make(map[key]V), order: make([]key, 0, size)}
}

func keyOf(text string) key {
	sum := sha256.Sum256([]byte(text))
	return key(sum[:len(key{})])
}

func (r *recent[V]) get(text string) (V, bool) {
	v, ok := r.values[keyOf(text)]
	return v, ok
}

func (r *recent[V]) put(text string, v V) {
	k := keyOf(text)
	if _, ok := r.values[k]; !ok {
		if len(r.order) < cap(r.order) {
			r.order = append(r.order, k)
		} else {
			delete(r.values, r.order[r.oldest])
			r.order[r.oldest] = k
			r.oldest = (r.oldest + 1) % len(r.order)
		}
	}
	r.values[k] = v
}
