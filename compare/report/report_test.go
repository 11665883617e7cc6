package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
	"go.uber.org/goleak"

	"tandem/compare"
	"tandem/compare/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func text(s string) *string { return &s }

func number(v float64) *float64 { return &v }

func missing(name, function string, n int64) compare.MissingKind {
	return compare.MissingKind{Name: name, Function: function, Invocations: n}
}

// reports are what the golden files show, by their names.
func reports() map[string]*compare.Report {
	wide := strings.Repeat("注文", 30)
	counts := compare.Counts{Total: 12, Matched: 8, Differed: 2, Inconclusive: 1, Unreplayable: 1}
	percentiles := func(f float64) compare.Percentiles {
		return compare.Percentiles{P50: 7.6 * f, P95: 14.7 * f, P99: 39.1 * f, Count: 100}
	}
	return map[string]*compare.Report{
		"parity": {
			Verdict: compare.Parity, Reasons: []string{"none of 300 trials differs; up to 0.99 % of invocations still may (95 % confidence)"},
			Baseline: "lambda", Candidate: "functions", Trials: compare.Counts{Total: 300, Matched: 300},
			Functions: map[string]compare.FunctionReport{"create-order": {Trials: compare.Counts{Total: 300, Matched: 300}}},
		},
		"noisy": {
			Verdict: compare.Inconclusive, Reasons: []string{"9 trials differ nowhere but in fields that disagree with themselves"},
			Baseline: "lambda", Candidate: "functions", Trials: compare.Counts{Total: 12, Matched: 2, Noisy: 9, Inconclusive: 1},
			Functions: map[string]compare.FunctionReport{
				"create-order": {Trials: compare.Counts{Total: 12, Matched: 2, Noisy: 9, Inconclusive: 1}},
			},
			Noise: []compare.NoiseReport{
				{Function: "create-order", Path: "/body/orderId", Kind: "uuid", Trials: 11, Baseline: 11, Candidate: 11, First: 11, P: 1},
				{Function: "create-order", Path: "/effects/*/body/state", Effect: "message.send orders-queue-of-the-region",
					Trials: 11, Baseline: 3, Candidate: 0, First: 2, P: 0.0000123,
					Evidence: "the candidate has one value where the baseline has two"},
			},
			Proposals: []compare.Proposal{
				{Rule: compare.Rule{At: "/body/orderId", Treat: compare.Alias, On: []string{"create-order"}},
					Evidence: []string{"lambda disagrees with itself in 11 of 11 trials", "all are UUIDs"}},
				{Rule: compare.Rule{At: "/body/who: x", Treat: compare.Pattern, On: []string{"create-order"}, Matches: `^(a|b\.c)$`},
					Evidence: []string{"both sides have the same 2 values"}},
				{Rule: compare.Rule{At: "/effects/*", On: []string{"create-order"}}, Effect: "object.put orders",
					Evidence: []string{"in 9 sampled trials it is there at times and at times not, on one side or both"}},
				{Rule: compare.Rule{At: "/effects/*", On: []string{"create-order"}}, Effect: "message.send rejected\n",
					Evidence: []string{"in 9 sampled trials it is there at times and at times not, on one side or both"}},
			},
		},
		"neighbourhood": {
			Verdict: compare.Differs, Reasons: []string{"2 of 10 trials differ, in 2 clusters"},
			Baseline: "lambda", Candidate: "functions", Trials: counts,
			Functions: map[string]compare.FunctionReport{"create-order": {Trials: counts}},
			Clusters: []compare.Cluster{
				{Function: "create-order", Path: "/body", Kind: compare.Changed, Trials: 2, Share: 0.2, Cause: "lines are missing",
					Examples: []compare.Example{{Invocation: "01M83CWNZ61BM2TP999RRP2YT5", Baseline: text(wide), Candidate: text("a"),
						Diff: []string{"  …", "  " + wide, "- one \x1b[31mline", "+ another", "  c"}}}},
				{Function: "create-order", Path: "/body/l", Kind: compare.Order, Trials: 1, Share: 0.1, Cause: "the same elements in another order",
					Examples: []compare.Example{{Invocation: "01M83CWNZ61BM2TP999V2QSQCZ", Baseline: text("[1,2]"), Candidate: text("[2,1]"),
						Diff: []string{"- 1", "  2", "+ 1"}}}},
				{Function: "create-order", Path: "/body/n", Kind: compare.Changed, Trials: 1, Share: 0.1, Cause: "another number",
					Examples: []compare.Example{{Invocation: "01M83CWNZ61BM2TP999V2QSQCZ", Baseline: text("1"), Candidate: text("2"),
						Diff: []string{"- 1", "+ 2", "  3"}}}},
			},
		},
		"differs": {
			Verdict: compare.Differs, Reasons: []string{"2 of 10 trials differ, in 2 clusters", "1 trials are inconclusive: functions: unknown"},
			Baseline: "lambda", Candidate: "functions", Trials: counts,
			Functions: map[string]compare.FunctionReport{"create-order": {Trials: counts}, "process-order": {}},
			Clusters: []compare.Cluster{
				{Function: "create-order", Path: "/body/total", Kind: compare.Changed, Trials: 2, Share: 0.2,
					Cause: "rounded through binary floating point", Also: []string{"/effects/*/body/total"},
					Examples: []compare.Example{{Invocation: "01M83CWNZ61BM2TP999RRP2YT5", Baseline: text("38.72"), Candidate: text("38.714999999999996")}}},
				{Function: "create-order", Path: "/effects/*", Kind: compare.Missing, Effect: "message.send rejected-queue", Trials: 1,
					Share: 0.0001, Cause: "the candidate lacks the effect message.send rejected-queue",
					Examples: []compare.Example{{Invocation: "01M83CWNZ61BM2TP999V2QSQCZ", Key: "group-1", Baseline: text(`{"body":{}}`)}}},
			},
			Rules: []compare.RuleReport{
				{Rule: compare.Rule{At: "/body/orderId", Treat: compare.Alias}, Applied: 10, Hits: 8, Leaves: 10},
				{Rule: compare.Rule{At: "/**/never", Treat: compare.Ignore}},
				{Rule: compare.Rule{At: "/body/old", Treat: compare.Tolerance, Until: "2025-12-31"}, Applied: 1, Expired: true},
				{Rule: compare.Rule{At: "/http/headers/date", Treat: compare.Ignore, Preset: "lambda-to-functions"}, Applied: 1, Hits: 4, Leaves: 1},
			},
			Unchecked: compare.Unchecked{Leaves: 1000, Ignored: 36, Share: 0.036},
			Latency: map[string]compare.FunctionLatency{"create-order": {
				Baseline: percentiles(1), Candidate: percentiles(1.5), Ratio: map[string][2]float64{"p50": {1.2, 1.75}},
				ColdStarts: &compare.ColdLatency{Baseline: compare.Percentiles{P50: 900, Count: 3}},
				Usage: compare.UsageOfBoth{
					Baseline: &compare.Usage{LongestMS: 900, TimeoutMS: 3000, MemoryMB: 99, MemoryLimitMB: 128,
						MemoryHeadroom: number(0.2), PricePerMillion: number(1.25)},
					Candidate: &compare.Usage{LongestMS: 40},
				},
			}},
		},
		"gated": {
			Verdict: compare.Differs, Reasons: []string{"the gate pre-cutover is not passed: latency.p99-ratio"},
			Baseline: "lambda", Candidate: "functions", Trials: compare.Counts{Total: 97, Matched: 97}, MismatchUpperBound95: 0.0304,
			Functions: map[string]compare.FunctionReport{
				"create-order": {Trials: compare.Counts{Total: 97, Matched: 97}, MismatchUpperBound95: 0.0304}},
			Gate: &compare.GateReport{Name: "pre-cutover", Requirements: []compare.RequirementReport{
				{Name: "mismatches", Result: compare.Passed, Want: "none", Measured: "0 of 97 trials"},
				{Name: "mismatch-upper-bound", Result: compare.Unknown, Want: "at most 1 %",
					Measured: "3.04 %, as 0 of 97 trials differ", Missing: "202 more trials that do not differ", Trials: 202},
				{Name: "latency.p99-ratio", Function: "create-order", Result: compare.Failed, Want: "at most 1.5", Measured: "1.9 to 2.4"},
			}},
			Coverage: &compare.Coverage{Recording: "orders.rec", Invocations: 97, FunctionCoverage: compare.FunctionCoverage{
				Shapes: compare.Cover{Seen: 9, Compared: 4, Missing: []compare.MissingKind{
					missing("3000b3e06adda7dd", "create-order", 12), missing("23ae31be4bd0ef4f", "create-order", 2), missing("1", "create-order", 1),
					missing("2", "create-order", 1), missing("3", "create-order", 1)}},
				Formats: compare.Cover{Seen: 1, Compared: 1}, Statuses: compare.Cover{Seen: 2, Compared: 1,
					Missing: []compare.MissingKind{missing("4xx", "create-order", 3)}},
			}},
		},
		"alike": {
			Verdict: compare.Differs, Reasons: []string{"25 of 40 trials differ, in 3 clusters"}, Baseline: "lambda", Candidate: "functions",
			Trials:    compare.Counts{Total: 40, Matched: 15, Differed: 25},
			Functions: map[string]compare.FunctionReport{"create-order": {Trials: compare.Counts{Total: 40, Matched: 15, Differed: 25}}},
			Clusters: []compare.Cluster{
				{ID: "1", Function: "create-order", Path: "/body/total", Kind: compare.Changed, Trials: 14, Share: 0.35, Cause: "always ×100",
					Condition: `only where body.currency is one of "JPY", "KRW" and some body.items[].qty is negative`, Alike: []string{"3"},
					Examples: []compare.Example{{Invocation: "01M83CWNZ61BM2TP999RRP2YT5", Baseline: text("38.72"), Candidate: text("3872")}},
					Smallest: &compare.Example{Invocation: "01M83CWNZ61BM2TP999RRP2YT9", Baseline: text("1"), Candidate: text("100")}},
				{ID: "2", Function: "create-order", Path: "/body/a", Kind: compare.Changed, Trials: 9, Share: 0.2, Cause: "in lower case"},
				{ID: "3", Function: "quote-order", Path: "/body/total", Kind: compare.Changed, Trials: 2, Share: 0.05, Cause: "always ×100",
					Condition: "only where body.currency is \"JPY\"", Alike: []string{"1"}},
			},
		},
		"inconclusive": {
			Verdict: compare.Inconclusive, Reasons: []string{"no trial could be compared"}, Baseline: "lambda", Candidate: "functions",
			Trials: compare.Counts{Total: 1, Unreplayable: 1},
		},
		"long": {
			Verdict: compare.Differs, Reasons: []string{strings.Repeat("x", 200), wide, "", strings.Repeat("many words ", 20)},
			Baseline: strings.Repeat("baseline", 20), Candidate: wide,
			Trials: compare.Counts{Total: math.MaxInt32, Differed: math.MaxInt32},
			Functions: map[string]compare.FunctionReport{
				wide: {Trials: compare.Counts{Total: math.MaxInt32}}, strings.Repeat("f", 200): {},
			},
			Clusters: []compare.Cluster{{Function: wide, Path: "/body/" + strings.Repeat("a/", 100), Kind: compare.Changed, Trials: 1,
				Share: 1, Cause: strings.Repeat("c", 200), Effect: wide, Also: []string{wide, strings.Repeat("/a", 60)},
				Examples: []compare.Example{{Invocation: wide, Key: wide, Baseline: text(wide), Candidate: text(strings.Repeat("v", 300))}}}},
			Rules: []compare.RuleReport{
				{Rule: compare.Rule{At: "/" + wide, Treat: compare.Tolerance, Until: "2025-12-31"}, Hits: math.MaxInt32, Expired: true},
				{Rule: compare.Rule{At: "/a", Treat: compare.Ignore, Preset: wide}, Hits: math.MaxInt32},
			},
			Latency: map[string]compare.FunctionLatency{wide: {
				Baseline: percentiles(1000), Candidate: percentiles(1000), Ratio: map[string][2]float64{"p50": {0.01, 100000}},
			}},
		},
		"hostile": {
			Verdict: compare.Differs, Reasons: []string{"a reason\x1b[2J\r\nwith\x00controls"}, Baseline: "lam\x1bbda", Candidate: "func\ttions",
			Functions: map[string]compare.FunctionReport{"f\x1b]0;title\x07": {}},
			Clusters: []compare.Cluster{{Function: "f\x1b[31m", Path: "/body/\u202etxt\u0085", Kind: compare.Extra, Trials: 1, Share: 1,
				Cause: "c\nPARITY", Effect: "e\x7f", Also: []string{"/\x1b"},
				Examples: []compare.Example{{Invocation: "i\nj", Key: "k\u2028", Candidate: text("\x1b[0m\xff\u200b")}}}},
			Rules: []compare.RuleReport{{Rule: compare.Rule{At: "/\x1b", Treat: compare.Ignore}}},
			Gate: &compare.GateReport{Name: "g\x1b", Requirements: []compare.RequirementReport{{Name: "n", Function: "f\x1b|<b>",
				Result: compare.Failed, Want: "w", Measured: "a]]>\x00`|`\nPARITY", Missing: "@team [x](y)"}}},
			Coverage: &compare.Coverage{Recording: "r\x1b", FunctionCoverage: compare.FunctionCoverage{Shapes: compare.Cover{Seen: 1,
				Missing: []compare.MissingKind{missing("s\x1b", "f\n", 1)}}}},
		},
	}
}

func TestTextIsAsInTheGoldenFiles(t *testing.T) {
	for name, r := range reports() {
		var got bytes.Buffer
		if err := report.Text(&got, r, report.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", got.Bytes())
	}
}

// Reports for machines and for pages are as in the golden files, and what outcomes say is text in them.
func TestFilesAreAsInTheGoldenFiles(t *testing.T) {
	for name, r := range reports() {
		var xmlText, page bytes.Buffer
		if err := errors.Join(report.JUnit(&xmlText, r), report.Markdown(&page, r)); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".xml", xmlText.Bytes())
		golden(t, name+".md", page.Bytes())
		var suites struct {
			Suite struct {
				Tests int `xml:"tests,attr"`
				Cases []struct {
					Failure, Error *struct{} `xml:",omitempty"`
				} `xml:"testcase"`
				Failures int `xml:"failures,attr"`
				Errors   int `xml:"errors,attr"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal(xmlText.Bytes(), &suites); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s := suites.Suite
		if s.Tests != len(s.Cases) || (s.Failures+s.Errors > 0) != (r.Verdict != compare.Parity) {
			t.Errorf("%s: %d cases, %d failures and %d errors, and the verdict is %s", name, s.Tests, s.Failures, s.Errors, r.Verdict)
		}
		if strings.ContainsFunc(page.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) ||
			strings.Contains(page.String(), "<b>") || strings.Contains(page.String(), "@team") {
			t.Errorf("%s: the page has what is no text: %s", name, page.String())
		}
	}
}

func TestReportsOfManyClustersAreBounded(t *testing.T) {
	r := &compare.Report{Verdict: compare.Differs, Functions: map[string]compare.FunctionReport{}}
	long := strings.Repeat("`<&|", 10_000)
	for i := range 5000 {
		name := fmt.Sprint("f", i%200)
		r.Functions[name] = compare.FunctionReport{Trials: compare.Counts{Total: 1, Differed: 1}}
		r.Reasons = append(r.Reasons, long)
		r.Clusters = append(r.Clusters, compare.Cluster{Function: name, Path: long, Cause: long,
			Examples: []compare.Example{{Invocation: long, Baseline: &long, Candidate: &long}}})
	}
	var page bytes.Buffer
	if err := report.Markdown(&page, r); err != nil || page.Len() > 1<<20 { // what GitHub takes
		t.Errorf("%d bytes, %v", page.Len(), err)
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", name, diff)
	}
}

func TestTextFitsATerminalAndDoesNotCommandIt(t *testing.T) {
	columns := runewidth.Condition{}
	for name, r := range reports() {
		var got bytes.Buffer
		if err := report.Text(&got, r, report.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got.String(), strings.ToUpper(string(r.Verdict))+"  ") {
			t.Errorf("%s does not begin with its verdict", name)
		}
		for i, line := range strings.Split(got.String(), "\n") {
			if w := columns.StringWidth(line); w > 80 {
				t.Errorf("%s:%d has %d columns: %s", name, i+1, w, line)
			}
			if strings.IndexFunc(line, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }) >= 0 {
				t.Errorf("%s:%d has control characters: %q", name, i+1, line)
			}
			if i > 0 && strings.HasPrefix(line, "PARITY") {
				t.Errorf("%s:%d: a cause passes itself off as the verdict", name, i+1)
			}
		}
	}
}

func TestColorIsOnTheVerdictAlone(t *testing.T) {
	for name, r := range reports() {
		var plain, colored bytes.Buffer
		if err := report.Text(&plain, r, report.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := report.Text(&colored, r, report.TextOptions{Color: true}); err != nil {
			t.Fatal(err)
		}
		verdict := strings.ToUpper(string(r.Verdict))
		_, rest, found := strings.Cut(colored.String(), "m"+verdict+"\x1b[0m")
		if !found || !strings.HasPrefix(colored.String(), "\x1b[1;3") || verdict+rest != plain.String() {
			t.Errorf("%s: the coloured report is another one", name)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrorsAreReturned(t *testing.T) {
	if report.Text(failing{}, reports()["differs"], report.TextOptions{}) == nil || report.JSON(failing{}, reports()["differs"]) == nil ||
		report.JUnit(failing{}, reports()["differs"]) == nil || report.Markdown(failing{}, reports()["differs"]) == nil {
		t.Error("a write that failed was not told")
	}
}

// promised is the document of the design, field by field. More fields may come; none of these may go.
type promised struct {
	Version              *int
	Verdict              *string
	Reasons              *[]string
	Baseline, Candidate  *string
	Trials               *promisedCounts
	MismatchUpperBound95 *float64
	Functions            map[string]struct {
		Trials *promisedCounts
		Shapes map[string]int
	}
	Clusters []struct {
		ID, Function, Path, Kind, Cause *string
		Trials                          *int
		Examples                        []struct{ Invocation, Baseline, Candidate *string }
	}
	Rules []struct {
		At, Treat *string
		Hits      *int
		Expired   *bool
	}
	Unchecked *struct {
		Leaves, Ignored *int
		Share           *float64
	}
	Latency map[string]struct {
		Baseline, Candidate *struct{ P50, P95, P99 *float64 }
		Ratio               map[string][2]float64
	}
}

type promisedCounts struct{ Total, Matched, Differed, Noisy, Inconclusive, Unreplayable *int }

func TestJSONKeepsItsPromise(t *testing.T) {
	r := reports()["differs"]
	r.Version = compare.ReportVersion
	r.Functions["create-order"] = compare.FunctionReport{Trials: r.Trials, Shapes: map[string]int64{"3fa9": 12}}
	r.Functions["process-order"] = compare.FunctionReport{Shapes: map[string]int64{}}
	r.Clusters[0].ID, r.Clusters[1].ID = "1", "2"
	r.Clusters[1].Examples[0].Candidate = text("<a>&")
	var doc bytes.Buffer
	if err := report.JSON(&doc, r); err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	var p promised
	if err := json.Unmarshal(doc.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	// encoding/json matches names without case, so the spelling is looked at too.
	for _, name := range strings.Fields(`version verdict reasons baseline candidate trials mismatchUpperBound95 functions clusters rules
		unchecked latency total matched differed noisy inconclusive unreplayable shapes id function path kind cause examples
		invocation at treat hits expired leaves ignored share p50 p95 p99 ratio`) {
		if !strings.Contains(doc.String(), `"`+name+`":`) {
			t.Errorf("the document has no %q", name)
		}
	}
	var again bytes.Buffer
	enc := json.NewEncoder(&again)
	if err := enc.Encode(p); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(again.String(), "null") {
		t.Errorf("some of what is promised is missing: %s", again.String())
	}
	if !strings.Contains(doc.String(), "<a>&") {
		t.Error("values are escaped as for HTML")
	}
}

func TestAnEmptyReportHasNoNulls(t *testing.T) {
	var doc bytes.Buffer
	r := compare.Report{
		Reasons: []string{}, Functions: map[string]compare.FunctionReport{}, Clusters: []compare.Cluster{},
		Rules: []compare.RuleReport{}, Latency: map[string]compare.FunctionLatency{},
	}
	if err := report.JSON(&doc, &r); err != nil || strings.Contains(doc.String(), "null") {
		t.Error(fmt.Sprint(err), doc.String())
	}
}

func TestSuggestionsAreRulesThatWantAReason(t *testing.T) {
	var b bytes.Buffer
	if err := report.Suggest(&b, reports()["noisy"]); err != nil {
		t.Fatal(err)
	}
	golden(t, "suggest.yaml", b.Bytes())
	text := strings.ReplaceAll(b.String(), `why: ""`, "why: w")
	c := map[string][]compare.Rule{}
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if len(c["rules"]) != 2 || !slices.Equal(c["rules"][1].On, []string{"create-order"}) || c["rules"][1].Validate() != nil {
		t.Errorf("%+v", c)
	}
}
