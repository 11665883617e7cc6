package jsonval

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// What encoding/json says of a text is what the scanner says.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.50,"x\u00e9\"\\",null,true,false,{}]}`, " [ 1 , { \"a\" : [ ] } ]\r\n", `"\ud800"`, `-0.1e-7`, `1e+`, `01`,
		"\"\xff\"", "\"\x01\"", `{"a":1,}`, `[1 2]`, `nul`, `"\x"`, `"\u12g4"`, `"\u123`, "\v1", "", `{"a"}`, `-`, `1.`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		valid := json.Valid(data)
		if got := Valid(data); got != valid {
			t.Fatalf("encoding/json says valid=%v, Valid says %v", valid, got)
		}
		var want bytes.Buffer
		want.WriteString("before")
		err := json.Compact(&want, data)
		got, ok := AppendCompact([]byte("before"), data)
		if ok != (err == nil) || ok && !bytes.Equal(got, want.Bytes()) || !ok && string(got) != "before" {
			t.Fatalf("encoding/json compacts to %q, %v; AppendCompact to %q, %v", want.Bytes(), err, got, ok)
		}
		end, ok := End(append(bytes.Clone(data), `,"more"`...))
		if valid && (!ok || !json.Valid(data[:end]) || len(bytes.TrimSpace(data[end:])) > 0) {
			t.Fatalf("%q ends at %d, %v", data, end, ok)
		}
	})
}

func TestScanNestsAsDeepAsEncodingJSON(t *testing.T) {
	for _, depth := range []int{maxDepth - 1, maxDepth, maxDepth + 1} {
		doc := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		if got, want := Valid(doc), json.Valid(doc); got != want {
			t.Errorf("%d lists: Valid says %v, encoding/json %v", depth, got, want)
		}
	}
}

func BenchmarkCompact(b *testing.B) {
	doc := []byte(`{"orderId":"A-1002","customer":"c-17","lines":[{"sku":"A1","quantity":2,"price":12.50}],"total":25.00,` +
		`"currency":"EUR","status":"accepted"}`)
	b.Run("jsonval", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := AppendCompact(make([]byte, 0, len(doc)), doc); !ok {
				b.Fatal("not JSON")
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			var out bytes.Buffer
			if err := json.Compact(&out, doc); err != nil {
				b.Fatal(err)
			}
		}
	})
}
