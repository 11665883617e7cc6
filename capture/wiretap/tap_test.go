package wiretap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// takeAll takes what a tap holds, as text.
func takeAll(t *testing.T, tap *Tap) []string {
	t.Helper()
	var all []string
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		s, ok, _ := tap.take()
		if !ok {
			if _, err := tap.Next(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("an empty tap gives %v", err)
			}
			return all
		}
		all = append(all, segmentText(s))
	}
}

func segmentText(s Segment) string {
	kinds := map[Kind]string{
		Open: "open", Resume: "resume", Client: ">", Server: "<", ServerEnd: "end", Close: "close", Note: "note",
	}
	text := fmt.Sprintf("%d %s", s.Conn, kinds[s.Kind])
	if s.ServerLast {
		text += ", server last"
	}
	if len(s.Data) > 0 {
		text += fmt.Sprintf(" %.20s", s.Data)
	}
	return text
}

func TestFullTapDropsAndSaysSo(t *testing.T) {
	tap := NewTap(1000)
	id := tap.open()
	tap.pass(id, Client, []byte("first"))
	tap.pass(id, Server, make([]byte, 1000)) // does not fit
	tap.pass(id, Client, []byte("second"))
	other := tap.open()
	tap.pass(other, Client, make([]byte, 500)) // does not fit, either
	if got := tap.Dropped(); got != 1500 {
		t.Errorf("%d bytes were dropped", got)
	}
	want := []string{"1 open", "1 > first", "1 resume, server last", "1 > second", "2 open"}
	if diff := cmp.Diff(want, takeAll(t, tap)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	tap.pass(other, Server, []byte("answer"))
	tap.close(id, nil)
	tap.close(other, errors.New("reset"))
	want = []string{"2 resume", "2 < answer", "1 close", "2 close reset"}
	if diff := cmp.Diff(want, takeAll(t, tap)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An observer that never takes anything costs no more than the limit, however many connections come and go.
func TestUnobservedTapHasAnEnd(t *testing.T) {
	tap := NewTap(10_000)
	for range 10_000 {
		id := tap.open()
		tap.pass(id, Client, []byte("request"))
		tap.close(id, nil)
	}
	if tap.size > 2*tap.limit || len(tap.conns) > tap.limit/overhead || len(tap.queue) > 2*tap.limit/overhead {
		t.Errorf("%d bytes, %d segments, %d connections", tap.size, len(tap.queue), len(tap.conns))
	}
}

func TestNextObserverKnowsWhatWaitsForAnAnswer(t *testing.T) {
	tap := NewTap(0)
	asked, working, large, later := tap.open(), tap.open(), tap.open(), tap.open()
	tap.pass(asked, Client, []byte("GET /ne"))
	tap.pass(asked, Client, []byte("xt"))
	tap.pass(working, Client, []byte("GET"))
	tap.pass(working, Server, []byte("event"))
	tap.pass(large, Client, []byte("POST"))
	tap.pass(large, Client, []byte(strings.Repeat("x", maxAsked)))
	takeAll(t, tap)
	tap.pass(asked, Server, []byte("late"))
	tap.pass(later, Client, []byte("GET"))
	tap.Note([]byte("note"))
	for range 2 { // as often as may be
		tap.Restart()
		want := []string{
			"1 resume, server last", "1 > GET /next", "2 resume, server last", "3 resume", "4 resume, server last", "1 < late",
			"4 > GET", "0 note note",
		}
		var got []string
		for range len(want) - 3 {
			s, err := tap.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, segmentText(s))
		}
		if diff := cmp.Diff(want[:len(want)-3], got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"1 < late", "4 > GET", "0 note note"}, takeAll(t, tap)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestClosedTapGivesWhatItHolds(t *testing.T) {
	tap := NewTap(0)
	id := tap.open()
	tap.Close()
	tap.pass(id, Client, []byte("x"))
	tap.Note([]byte("x"))
	tap.close(id, nil)
	if s, err := tap.Next(t.Context()); err != nil || s.Kind != Open {
		t.Errorf("got %v, %v", s, err)
	}
	for range 2 {
		if _, err := tap.Next(t.Context()); err != io.EOF {
			t.Errorf("got %v", err)
		}
	}
}

func TestAConnectionThatEndsBehindAGapIsNotTakenForBrokenOff(t *testing.T) {
	tap := NewTap(3 * overhead)
	conn := tap.open()
	tap.pass(conn, Client, []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
	tap.pass(conn, Server, make([]byte, 3*overhead)) // there is no room for it
	tap.close(conn, nil)
	tap.Close()
	var done []*Exchange
	a := NewAssembler(Observer{Done: func(x *Exchange) { done = append(done, x) }}, 1<<10)
	for {
		s, err := tap.Next(t.Context())
		if err != nil {
			break
		}
		a.Add(s)
	}
	if len(done) != 1 || !errors.Is(done[0].Broken, ErrUnseen) {
		t.Errorf("got %+v", done)
	}
}
