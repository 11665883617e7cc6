package jsonval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// order is the JSON of an order with some lines, as the handlers that are compared answer with.
func order(lines int) []byte {
	line := func(i int) string {
		return fmt.Sprintf(`{"sku":"A-1-%d","title":"A thing that is sold by the dozen, in blue","quantity":%d,`+
			`"unitPrice":"3.50","discounts":[],"tags":["fragile","new"],"inStock":true}`, i, i%4+1)
	}
	var all []string
	for i := range lines {
		all = append(all, line(i))
	}
	return []byte(`{"orderId":"lam_0000001","requestId":"lambda-00001eef","createdAt":"2026-11-23T05:13:24.120Z",` +
		`"score":1.6,"customer":{"id":"c-1","name":"Erika Mustermann","email":"erika@example.com",` +
		`"address":{"street":"Heidestraße 17","city":"Köln","zip":"51147"}},"lines":[` + strings.Join(all, ",") +
		`],"total":1.50,"currency":"EUR","status":"accepted","note":null}`)
}

type benchText struct {
	name string
	text []byte
}

func benchTexts() []benchText {
	var numbers, indented bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&numbers, ",%d,%.3f,%g", i*i%9973, float64(i)/7, 1/float64(i+3))
	}
	if err := json.Indent(&indented, order(10), "", "  "); err != nil {
		panic(err)
	}
	return []benchText{
		{"2KB", order(10)},
		{"76KB", order(500)},
		{"long-string", []byte(`"` + strings.Repeat("no quote, no escape, for a long time. ", 2000) + `"`)},
		{"escapes", []byte(`"` + strings.Repeat(`{\"sku\":\"A-1\",\"title\":\"A thing\"}\n`, 100) + `"`)},
		{"numbers", []byte("[0" + numbers.String() + "]")},
		{"indented", indented.Bytes()},
	}
}

func BenchmarkSkip(b *testing.B) {
	for _, bt := range benchTexts() {
		b.Run(bt.name, func(b *testing.B) {
			b.SetBytes(int64(len(bt.text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok := Skip(bt.text); !ok {
					b.Fatal("not skipped")
				}
			}
		})
	}
}

// BenchmarkValid has encoding/json beside the scanner.
func BenchmarkValid(b *testing.B) {
	for _, bt := range benchTexts() {
		for _, v := range []struct {
			name  string
			valid func([]byte) bool
		}{{"jsonval", Valid}, {"encoding-json", json.Valid}} {
			b.Run(bt.name+"/"+v.name, func(b *testing.B) {
				b.SetBytes(int64(len(bt.text)))
				b.ReportAllocs()
				for b.Loop() {
					if !v.valid(bt.text) {
						b.Fatal("not JSON")
					}
				}
			})
		}
	}
}

func BenchmarkCompact(b *testing.B) {
	doc := []byte(`{"orderId":"A-1002","customer":"c-17","lines":[{"sku":"A1","quantity":2,"price":12.50}],` +
		`"total":25.00,"currency":"EUR","status":"accepted"}`)
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
