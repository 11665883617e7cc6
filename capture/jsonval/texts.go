package jsonval

import "strings"

// Texts makes strings of bytes. Short ones share memory, because an allocation for each would take as long as reading
// it. The zero value is ready for use.
type Texts struct{ piece strings.Builder }

// String returns a copy of text.
func (t *Texts) String(text []byte) string {
	const room, long = 512, 64
	if len(text) > long {
		return string(text)
	}
	if t.piece.Cap()-t.piece.Len() < len(text) {
		t.piece = strings.Builder{}
		t.piece.Grow(room)
	}
	start := t.piece.Len()
	t.piece.Write(text)
	return t.piece.String()[start:]
}
