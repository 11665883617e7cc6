package compare

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/replay"
)

// benchOutcome is an order's answer and effects. What varies is in a few fields.
func benchOutcome(id, total string, n int) string {
	var items []string
	for i := range 8 {
		items = append(items, fmt.Sprintf(`{"sku":"A-%d","quantity":%d,"unitPrice":"12.50","tags":["x","y"]}`, i, n%5))
	}
	order := fmt.Sprintf(`{"orderId":%q,"customer":"c-%d","items":[%s],"total":%s,"createdAt":"2026-01-01T00:00:00Z"}`,
		id, n, strings.Join(items, ","), total)
	return fmt.Sprintf(`{"status":"ok","http":{"status":201,"headers":{"content-type":["application/json"],"location":["/orders/%s"],`+
		`"x-amzn-trace-id":["Root=%s"]},"cookies":[{"name":"sid","value":"x","attributes":{"path":"/","httponly":""}}],`+
		`"body":{"json":%s}},"durationMs":12.5,"attempts":1,"effects":[{"kind":"object.put","resource":"orders","key":"orders/%s.json",`+
		`"body":{"json":%s},"attributes":{"content-type":"application/json"}},{"kind":"message.send","resource":"queue",`+
		`"body":{"json":{"type":"created","orderId":%q}}}]}`, id, id, order, id, order, id)
}

func BenchmarkRun(b *testing.B) {
	preset, err := Preset(LambdaToFunctions)
	if err != nil {
		b.Fatal(err)
	}
	rules := append(preset, Rule{At: "/body/orderId", Treat: Alias, Why: "w"}, Rule{At: "/**/createdAt", Treat: Time, Within: "2s", Why: "w"})
	const trials = 2000
	for _, bm := range []struct {
		name      string
		rules     []Rule
		candidate func(n int) string
	}{
		{"equal", preset, func(n int) string { return benchOutcome(fmt.Sprintf("ord_%06d", n), "30.30", n) }},
		{"under-rules", rules, func(n int) string { return benchOutcome(fmt.Sprintf("new_%06d", n), "30.3", n) }},
		{"differing", rules, func(n int) string { return benchOutcome(fmt.Sprintf("new_%06d", n), "30.31", n) }},
	} {
		var doc bytes.Buffer
		for n := range trials {
			doc.WriteString(line(fmt.Sprintf("i%06d", n), "create-order",
				benchOutcome(fmt.Sprintf("ord_%06d", n), "30.30", n), bm.candidate(n)) + "\n")
		}
		path := filepath.Join(b.TempDir(), "run.jsonl")
		if err := os.WriteFile(path, doc.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
		b.Run(bm.name, func(b *testing.B) {
			b.SetBytes(int64(doc.Len()))
			b.ReportAllocs()
			for b.Loop() {
				r, err := compareAt(b, path, Options{Rules: bm.rules, Workers: 1})
				if err != nil || r.Trials.Total != trials || (r.Verdict == Differs) != (bm.name == "differing") {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(b.N*trials)/b.Elapsed().Seconds(), "trials/s")
		})
	}
	benchMatching(b)
	trial := trialOf(benchOutcome("ord_1", "30.30", 1), benchOutcome("new_2", "30.3", 1))
	set, err := newRuleSet(rules)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("one-trial-parsed", func(b *testing.B) {
		b.ReportAllocs()
		j, t := judge{baseline: "lambda", candidate: "functions", rules: set}, newTally(len(rules))
		for b.Loop() {
			j.compare(trial, t)
		}
	})
	text := []byte(line("i", "f", benchOutcome("ord_1", "30.30", 1), benchOutcome("new_2", "30.3", 1)))
	b.Run("parsing-one-trial", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := replay.ParseTrial(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchMatching compares pairs of answers of 2 KB that match, of which rules cover some headers and two fields. With
// "recorded" there is a third outcome beside the two.
func benchMatching(b *testing.B) {
	preset, err := Preset(LambdaToFunctions)
	if err != nil {
		b.Fatal(err)
	}
	rules := append(preset, Rule{At: "/**/createdAt", Treat: Time, Within: "2s", Why: "w"}, Rule{At: "/body/total", Treat: Tolerance, Within: "0.01", Why: "w"})
	answer := func(n, second int) string {
		var items []string
		for i := range 20 {
			items = append(items, fmt.Sprintf(`{"sku":"A-%d","quantity":%d,"unitPrice":"12.50","name":"a thing to be sold","tags":["x","y"]}`, i, n%5))
		}
		return fmt.Sprintf(`{"status":"ok","http":{"status":200,"headers":{"cache-control":["no-store"],"content-type":["application/json; charset=utf-8"],`+
			`"date":["Sun, 06 Nov 1994 08:49:%02d GMT"]},"body":{"json":{"orderId":"o-%d","items":[%s],"total":30.3%d,"createdAt":"2026-01-01T00:00:0%dZ"}}},`+
			`"durationMs":12.5,"attempts":1,"effects":[{"kind":"message.send","resource":"q","body":{"json":{"orderId":"o-%d"}}}]}`,
			10+second, n, strings.Join(items, ","), second, second, n)
	}
	const trials = 5000
	for _, recorded := range []bool{false, true} {
		name := "matching-2KB"
		if recorded {
			name += "-recorded"
		}
		var doc bytes.Buffer
		for n := range trials {
			text := line(fmt.Sprintf("i%06d", n), "get-order", answer(n, 0), answer(n, 1))
			if recorded {
				text = strings.TrimSuffix(text, "}}") + `,"recording":` + answer(n, 2) + "}}"
			}
			doc.WriteString(text + "\n")
		}
		path := filepath.Join(b.TempDir(), "run.jsonl")
		if err := os.WriteFile(path, doc.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(doc.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if r, err := compareAt(b, path, Options{Rules: rules, Workers: 1}); err != nil || r.Trials.Matched != trials {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(b.N*trials)/b.Elapsed().Seconds(), "trials/s")
		})
	}
}
