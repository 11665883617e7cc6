package journal

import (
	"fmt"
	"path/filepath"
	"testing"
)

// benchLine is as long as a small recorded invocation, and compresses about as well.
func benchLine(i int) []byte {
	return fmt.Appendf(nil, `{"id":"01K%023d","function":"create-order","trigger":"http","format":"apigw-v2",`+
		`"source":"http","time":"2026-01-02T03:04:05.%06dZ","event":{"version":"2.0","rawPath":"/orders/%d",`+
		`"headers":{"content-type":"application/json","x-request-id":"%x"},"body":"{\"items\":[{\"sku\":\"A%d\"}]}"},`+
		`"context":{}}`, i*7919, i%1000000, i, uint64(i)*0x9e3779b97f4a7c15, i%977)
}

var benchFiles = []string{"a.jsonl", "a.jsonl.zst", "a.jsonl.zst.age"}

func benchWriter(b *testing.B, path string) *Writer {
	var opts WriterOptions
	if isSealed(path) {
		opts.Recipients = forAll(identity(b, aliceKey))
	}
	return mustCreate(b, path, opts)
}

func BenchmarkWrite(b *testing.B) {
	for _, name := range benchFiles {
		b.Run(name, func(b *testing.B) {
			w := benchWriter(b, filepath.Join(b.TempDir(), name))
			lines := make([][]byte, 10_000)
			for i := range lines {
				lines[i] = benchLine(i)
			}
			b.SetBytes(int64(len(lines[0])))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := w.Append(lines[n%len(lines)]); err != nil {
					b.Fatal(err)
				}
				n++
			}
			mustClose(b, w)
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, name := range benchFiles {
		b.Run(name, func(b *testing.B) {
			const lines = 100_000
			path := filepath.Join(b.TempDir(), name)
			w := benchWriter(b, path)
			size := 0
			for i := range lines {
				line := benchLine(i)
				size += len(line)
				mustAppend(b, w, string(line))
			}
			mustClose(b, w)
			r, err := Open(path, readAs(identity(b, aliceKey)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			passes := 0
			for b.Loop() {
				n := 0
				for _, err := range r.Lines() {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != lines {
					b.Fatalf("%d lines", n)
				}
				passes++
			}
			b.ReportMetric(float64(passes*lines)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
