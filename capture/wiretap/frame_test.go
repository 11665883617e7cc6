package wiretap

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func FuzzFrames(f *testing.F) {
	var seed bytes.Buffer
	e := NewEncoder(&seed)
	for _, s := range []Segment{
		{Kind: Open, Conn: 1, At: Moment{time.Unix(1700000000, 1).UTC(), 5}},
		{Kind: Resume, Conn: 1<<64 - 1, ServerLast: true, At: Moment{time.Unix(0, 0).UTC(), -5}},
		{Kind: Client, Conn: 2, Data: []byte("data"), At: Moment{Wall: time.Unix(-1, 0).UTC()}},
	} {
		if err := e.Encode(s); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		d := NewDecoder(bytes.NewReader(text))
		var again bytes.Buffer
		e := NewEncoder(&again)
		a := NewAssembler(Observer{}, 100)
		for {
			s, err := d.Decode()
			if err != nil {
				if err == io.EOF && again.Len() != len(text) {
					t.Errorf("the end comes after %d bytes of %d", again.Len(), len(text))
				}
				break
			}
			a.Add(s) // must not panic
			if err := e.Encode(s); err != nil {
				t.Fatal(err)
			}
		}
		a.End()
		if !bytes.HasPrefix(text, again.Bytes()) {
			t.Error("frames are written otherwise than they are read")
		}
	})
}

func TestSegmentsComeBack(t *testing.T) {
	var buf bytes.Buffer
	e := NewEncoder(&buf)
	tap := NewTap(0)
	id := tap.open()
	tap.pass(id, Client, []byte("request"))
	tap.Note([]byte("note"))
	tap.close(id, io.ErrUnexpectedEOF)
	tap.Close()
	d := NewDecoder(&buf)
	for {
		want, err := tap.Next(t.Context())
		if err != nil {
			break
		}
		if err := e.Encode(want); err != nil {
			t.Fatal(err)
		}
		got, err := d.Decode()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if err := e.Encode(Segment{Kind: Note, Data: make([]byte, maxData)}); err != nil {
		t.Error(err)
	}
	if s, err := d.Decode(); err != nil || len(s.Data) != maxData {
		t.Errorf("the largest segment comes back with %d bytes, %v", len(s.Data), err)
	}
	if err := e.Encode(Segment{Kind: Note, Data: make([]byte, maxData+1)}); err == nil {
		t.Error("a segment that is too large is taken")
	}
	if err := e.Encode(Segment{Kind: Note, Data: []byte("data")}); err != nil {
		t.Fatal(err)
	}
	buf.Truncate(buf.Len() - 1)
	if _, err := d.Decode(); err != io.ErrUnexpectedEOF {
		t.Errorf("half a frame gives %v", err)
	}
}
