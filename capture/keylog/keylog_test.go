package keylog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if isChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// emptyTemp makes temporary files go to a folder, and makes sure that none is left there.
func emptyTemp(t testing.TB) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v is left behind, %v", left, err)
		}
	})
}

func TestKeysAreOfTheTextItsKindAndTheSecret(t *testing.T) {
	h := NewHasher()
	long := string(make([]byte, 1000))
	keys := map[Key]string{}
	for kind := range uint64(3) {
		for _, text := range []string{"", "a", "b", "aa", "a\x00", long, long + "a"} {
			k := h.Key(kind, text)
			if other, ok := keys[k]; ok {
				t.Errorf("%q of kind %d has the key of %s", text, kind, other)
			}
			keys[k] = fmt.Sprintf("%q of kind %d", text, kind)
			if k != h.Key(kind, text) {
				t.Errorf("%q has two keys", text)
			}
			if k == NewHasher().Key(kind, text) {
				t.Errorf("the key of %q does not depend on the secret", text)
			}
		}
	}
}

func TestNothingIsAllocatedForAKey(t *testing.T) {
	h, text, d := NewHasher(), "01JD5Q9T3W8KZ0V6M2N4B7C1XA", Duplicates{Memory: 1}
	defer d.Close()
	for i := range uint64(10_000) { // until all that is kept is on disk
		if err := d.AddKey(h.Key(i, text), i); err != nil {
			t.Fatal(err)
		}
	}
	n := uint64(0)
	if allocs := testing.AllocsPerRun(1000, func() {
		n++
		if err := d.AddKey(h.Key(n, text), n); err != nil {
			t.Fatal(err)
		}
	}); allocs >= 1 {
		t.Errorf("%v allocations a key", allocs)
	}
}

// folded folds a log into the records of each key, and makes sure that each key is told once.
func folded(t *testing.T, l *Log, limit int) map[Key][]Record {
	t.Helper()
	got := make(map[Key][]Record)
	err := fold(t.Context(), l, limit, func(state *[]Record, r Record) { *state = append(*state, r) },
		func(k Key, state *[]Record) error {
			if got[k] != nil {
				t.Errorf("%v was told twice", k)
			}
			got[k] = slices.Clone(*state)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// However little memory there is, a fold is what a map makes of the same records.
func TestAFoldIsThatOfAMap(t *testing.T) {
	emptyTemp(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		name         string
		records      int
		keys         int
		memory, most int // bytes, and states at a time
	}{
		{"nothing", 0, 1, 0, maxStates},
		{"in memory", 5000, 2000, 0, maxStates},
		{"one key alone", 3000, 1, 1, 1},
		{"a record a block", 3000, 2000, 1, maxStates},
		{"a state at a time", 2000, 1000, 1, 1},
		{"some blocks, some rounds", 20_000, 8000, 64 << 10, 7},
		{"as many keys as records", 10_000, 1 << 40, 64 << 10, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, h := Log{Memory: tt.memory}, NewHasher()
			defer l.Close()
			want := make(map[Key][]Record)
			for n := range uint64(tt.records) {
				r := Record{Key: h.Key(0, fmt.Sprint(random.IntN(tt.keys))), Value: random.Uint64(), N: n}
				want[r.Key] = append(want[r.Key], r)
				if err := l.Add(r); err != nil {
					t.Fatal(err)
				}
			}
			if got := folded(t, &l, tt.most); !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%d keys are not the %d that were added", len(got), len(want))
			}
			if onDisk := l.file != nil; onDisk != (tt.memory > 0) {
				t.Errorf("on disk: %v", onDisk)
			}
		})
	}
}

// Keys that lie side by side are at all bounds of ranges, and more may begin alike than a table has room for.
func TestAFoldHasEachKeyOfNeighboursOnce(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 50} {
		var l Log
		defer l.Close()
		want := make(map[Key][]Record)
		for n := range uint64(2000) {
			r := Record{Key: Key{Hi: n % 100, Lo: n % 7}, N: n}
			if n%2 == 0 {
				r.Key.Hi = 1<<56 - 1 - r.Key.Hi
			}
			want[r.Key] = append(want[r.Key], r)
			if err := l.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		if got := folded(t, &l, limit); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("with %d states: %d keys are not the %d that were added", limit, len(got), len(want))
		}
	}
}

func TestALogKeepsToItsMemory(t *testing.T) {
	l, h := Log{Memory: 64 << 10}, NewHasher()
	defer l.Close()
	for n := range uint64(30_000) {
		if err := l.Add(Record{Key: h.Key(n, "")}); err != nil {
			t.Fatal(err)
		}
		held := 0
		for i := range l.parts {
			held += cap(l.parts[i].held)
		}
		if held*recordBytes > 64<<10 {
			t.Fatalf("%d bytes of records are in memory", held*recordBytes)
		}
	}
}

func TestATableHasNoMoreStatesThanItMay(t *testing.T) {
	h, states := NewHasher(), table[int]{limit: 100}
	states.begin(0, 1<<64-1)
	for n := range uint64(10_000) {
		states.at(h.Key(n, ""))
		if len(states.entries) > 100 || len(states.index) > 512 {
			t.Fatalf("%d states, %d in the index", len(states.entries), len(states.index))
		}
	}
	if len(states.entries) == 0 {
		t.Error("all are forgotten")
	}
}

func TestAFoldEndsWithItsContextWithAnErrorAndWithItsFile(t *testing.T) {
	emptyTemp(t)
	l, h := Log{Memory: 1}, NewHasher()
	defer l.Close()
	for n := range uint64(1000) {
		if err := l.Add(Record{Key: h.Key(n, "")}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := 0
	err := Fold(ctx, &l, func(*int, Record) {}, func(Key, *int) error { ended++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || ended > 50 {
		t.Errorf("%v after %d keys", err, ended)
	}
	broken := errors.New("broken")
	err = Fold(t.Context(), &l, func(*int, Record) {}, func(Key, *int) error { return broken })
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := l.file.Truncate(1000); err != nil {
		t.Fatal(err)
	}
	if err := Fold(t.Context(), &l, func(*int, Record) {}, func(Key, *int) error { return nil }); !errors.Is(err, io.EOF) {
		t.Errorf("of a file that is too short: %v", err)
	}
}

func TestNoPlaceForTemporaryFilesIsAnError(t *testing.T) {
	t.Setenv("TMPDIR", "/nowhere/at/all")
	l := Log{Memory: 1}
	defer l.Close()
	var err error
	for n := uint64(0); n < 2 && err == nil; n++ {
		err = l.Add(Record{N: n})
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestASetHasWhatWasAddedAndNothingElse(t *testing.T) {
	emptyTemp(t)
	for _, n := range []int{0, 1, pageKeys - 1, pageKeys, pageKeys + 1, 3000} {
		for _, memory := range []int{0, 1, 10_000} {
			h, in := NewHasher(), make([]Key, n)
			for i := range in {
				in[i] = h.Key(uint64(i), "in")
			}
			slices.SortFunc(in, func(a, b Key) int { return cmp.Compare(a.Hi>>(64-partitionBits), b.Hi>>(64-partitionBits)) })
			s := Set{Memory: memory}
			for _, k := range in {
				if err := s.Add(k); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Seal(); err != nil {
				t.Fatal(err)
			}
			if s.Len() != n {
				t.Errorf("%d of %d keys", s.Len(), n)
			}
			for i := range n + 100 {
				if found, err := s.Has(h.Key(uint64(i), "out")); found || err != nil {
					t.Fatalf("another key, %d of %d with %d bytes: %v, %v", i, n, memory, found, err)
				}
				if i >= n {
					continue
				}
				k := in[i]
				if found, err := s.Has(k); !found || err != nil {
					t.Fatalf("key %d of %d with %d bytes: %v, %v", i, n, memory, found, err)
				}
				if found, err := s.Has(Key{k.Hi, k.Lo + 1}); found || err != nil {
					t.Fatalf("a key beside key %d: %v, %v", i, found, err)
				}
			}
			if onDisk := s.file != nil; onDisk != (memory > 0 && n*keyBytes > max(memory, keyBytes)) {
				t.Errorf("%d keys in %d bytes, on disk: %v", n, memory, onDisk)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// repeats is what Find returns, by a map.
func repeats(texts []string) Repeats {
	var found Repeats
	first := make(map[string]uint64)
	for i, text := range texts {
		if at, ok := first[text]; !ok {
			first[text] = uint64(i)
		} else if found.Count++; found.Count <= maxExamples {
			found.Examples = append(found.Examples, Repeat{at, uint64(i)})
		}
	}
	return found
}

func checkDuplicates(t *testing.T, texts []string, memory, limit int) {
	t.Helper()
	d := Duplicates{Memory: memory}
	defer d.Close()
	for i, text := range texts {
		if err := d.Add(text, uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.find(t.Context(), limit)
	if err != nil {
		t.Fatal(err)
	}
	if want := repeats(texts); got.Count != want.Count || !slices.Equal(got.Examples, want.Examples) {
		t.Errorf("%d texts, %d bytes, %d states: %v, want %v", len(texts), memory, limit, got, want)
	}
}

func TestDuplicatesAreThoseOfAMap(t *testing.T) {
	emptyTemp(t)
	random := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 300, 3000} {
		for _, keys := range []int{1, 2, n + 1, 10*n + 1, n*n + 1} {
			texts := make([]string, n)
			for i := range texts {
				texts[i] = fmt.Sprint(random.IntN(keys))
			}
			for _, memory := range []int{0, 1, 20_000} {
				checkDuplicates(t, texts, memory, 3+random.IntN(100))
			}
		}
	}
	number := func(i int) string { return fmt.Sprint("key ", i) }
	for _, pair := range [][2]int{{0, 1}, {0, 1999}, {1000, 1001}, {1998, 1999}} {
		texts := make([]string, 2000)
		for i := range texts {
			texts[i] = number(i)
		}
		texts[pair[1]] = number(pair[0])
		checkDuplicates(t, texts, 1, 10)
	}
}

func FuzzDuplicates(f *testing.F) {
	f.Add([]byte("abcabc"), uint16(1), uint16(1))
	f.Add([]byte("the same text again and again"), uint16(0), uint16(3))
	f.Fuzz(func(t *testing.T, text []byte, memory, limit uint16) {
		texts := make([]string, len(text))
		for i := range texts {
			texts[i] = string(text[i : i+1])
		}
		checkDuplicates(t, texts, int(memory), 1+int(limit))
	})
}

func BenchmarkAdd(b *testing.B) {
	h := NewHasher()
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		text, n := "01JD5Q9T3W8KZ0V6M2N4B7C1XA", uint64(0)
		for b.Loop() {
			n++
			h.Key(n, text)
		}
	})
	keys := make([]Key, 1<<16)
	for i := range keys {
		keys[i] = h.Key(uint64(i), "")
	}
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		var l Log
		defer l.Close()
		n := uint64(0)
		for b.Loop() {
			n++
			if err := l.Add(Record{Key: keys[n%(1<<16)], N: n}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fold", func(b *testing.B) {
		b.ReportAllocs()
		var d Duplicates
		defer d.Close()
		n := uint64(0)
		for b.Loop() {
			n++
			if err := d.AddKey(Key{n * 0x9e3779b97f4a7c15, n * 0xd1342543de82ef95}, n); err != nil {
				b.Fatal(err)
			}
		}
		if found, err := d.Find(b.Context()); err != nil || found.Count > 0 {
			b.Fatal(found, err)
		}
	})
}
