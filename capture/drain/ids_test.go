package drain

import (
	"fmt"
	"os"
	"testing"
)

func TestIDsAreExactThroughManyTables(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	const n = 50_000
	var ids IDs
	if found, err := ids.Has("0"); found || err != nil {
		t.Fatalf("an empty set has 0: %v, %v", found, err)
	}
	for i := range n {
		for range 1 + i%2 { // some twice
			if err := ids.Add(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if i == 100 {
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("a kill would leave %v, %v", files, err)
			}
		}
	}
	for i := range 2 * n {
		if found, err := ids.Has(fmt.Sprint(i)); found != (i < n) || err != nil {
			t.Fatalf("%d: %v, %v", i, found, err)
		}
	}
	var keys uint64
	for _, table := range ids.tables {
		keys += table.keys
	}
	if keys != n || len(ids.tables) < 3 {
		t.Errorf("%d keys in %d tables, of %d IDs", keys, len(ids.tables), n)
	}
	if err := ids.Close(); err != nil {
		t.Fatal(err)
	}
	if found, err := ids.Has("1"); found || err != nil {
		t.Errorf("after Close: %v, %v", found, err)
	}
}
