package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/compare"
)

const gated = `version: 1
functions:
  f:
    lambda:    {function: f, memory: 512, timeout: 3s}
    functions: {http: {url: "http://h:1/x"}, memory: 1536}
prices:
  lambda: {gbSecond: 0.0000166667, request: 0.0000002}
  functions: {gbSecond: 0.000016, request: 0.0000002, minMs: 100}
gates:
  all:
    fire: [functions, lambda]
    against: lambda
    require:
      effects: false
      mismatch-upper-bound: 0.1%
      function-mismatch-upper-bound: 0.05
      mismatches: 3
      unknown: 1%
      unreplayable: 5%
      per-shape: 20
      coverage: {shapes: 95%, formats: 100%, statuses: 1}
      unchecked: 10%
      expired-rules: 1
      calibrate: true
      latency: {p50-ratio: 1.2, p95-ratio: 1.3, p99-ratio: 1.5}
      headroom: {timeout: 20%, memory: 0%}
      price-ratio: 2
  none: {}
`

func TestAGateIsReadWhole(t *testing.T) {
	c, err := Parse("tandem.yaml", []byte(gated), secrets)
	if err != nil {
		t.Fatal(err)
	}
	share := func(v float64) *float64 { return &v }
	mismatches := int64(3)
	want := compare.Requirements{
		MismatchUpperBound: share(.001), FunctionMismatchUpperBound: share(.05), Mismatches: &mismatches,
		Unknown: .01, Unreplayable: .05, AnyEffects: true, PerShape: 20, Coverage: compare.CoverageShares{Shapes: .95, Formats: 1, Statuses: 1},
		Unchecked: share(.1), ExpiredRules: 1, Calibrate: true, PriceRatio: 2,
	}
	want.Latency.P50, want.Latency.P95, want.Latency.P99 = 1.2, 1.3, 1.5
	want.Headroom.Timeout, want.Headroom.Memory = share(.2), share(0)
	if diff := cmp.Diff(want, c.Gates["all"].Requirements()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(compare.Requirements{}, c.Gates["none"].Requirements()); diff != "" {
		t.Error(diff)
	}
	limits := c.Limits()["f"]
	lambda := compare.Limits{MemoryMB: 512, Timeout: 3 * time.Second}
	if limits["lambda"] != lambda || limits["recording"] != lambda || limits["functions"] != (compare.Limits{MemoryMB: 1536}) {
		t.Errorf("limits are %+v", limits)
	}
	if p := c.Prices["functions"]; p.MinMS != 100 || p.GBSecond != 0.000016 {
		t.Errorf("prices are %+v", p)
	}
}

func TestWhatAGateLeavesOutIsFilledIn(t *testing.T) {
	for _, tt := range []struct {
		name      string
		gate      Gate
		against   string
		candidate string
	}{
		{"all", Gate{}, "lambda", "functions"},
		{"functions alone", Gate{Fire: []string{"functions"}, Against: "recording"}, "recording", "functions"},
		{"lambda alone", Gate{Fire: []string{"lambda"}}, "recording", "lambda"},
		{"another run", Gate{Against: "run:a.run"}, "run:a.run", "functions"},
	} {
		if g := tt.gate.WithDefaults(); g.Against != tt.against || g.Candidate() != tt.candidate {
			t.Errorf("%s: %s against %s", tt.name, g.Candidate(), g.Against)
		}
	}
}

func TestMistakesInGatesSayWhereAndWhat(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		line     int
		want     string
	}{
		{"fire: [functions, lambda]", "fire: [functions, lamda]", 11, `fire: "lamda" is neither`},
		{"fire: [functions, lambda]", "fire: [functions, functions]", 11, "there twice"},
		{"fire: [functions, lambda]", "fire: []", 11, "fire: it is empty"},
		{"fire: [functions, lambda]", "fire: [functions]", 12, "lambda is not fired at"},
		{"fire: [functions, lambda]", "fire: [lambda]", 12, "compared with itself"},
		{"against: lambda", "against: lamda", 12, `"lamda" is neither lambda, recording nor run:PATH`},
		{"against: lambda", `against: "run:"`, 12, "which run"},
		{"against: lambda", "against: recording", 24, "what was recorded cannot be fired twice"},
		{"mismatch-upper-bound: 0.1%", "mismatch-upper-bound: 0", 15, "no number of trials"},
		{"mismatch-upper-bound: 0.1%", "mismatch-upper-bound: 101%", 15, "is not a share"},
		{"mismatch-upper-bound: 0.1%", "mismatch-upper-bound: few", 15, `"few" is not a share`},
		{"mismatches: 3", "mismatches: -1", 17, "below 0"},
		{"mismatches: 3", "mismatch: 3", 17, `no key "mismatch"`},
		{"per-shape: 20", "per-shape: -2", 20, "per-shape: it is below 0"},
		{"shapes: 95%", "shapes: NaN%", 21, "coverage.shapes"},
		{"p99-ratio: 1.5", "p99-ratio: 0", 25, "latency.p99-ratio: 0 is not a number above 0"},
		{"timeout: 20%", "timeout: 20s", 26, "headroom.timeout"},
		{"price-ratio: 2", "price-ratio: -2", 27, "price-ratio"},
		{"memory: 512", "memory: 512MB", 4, `memory: "512MB" is not a number of MB`},
		{"timeout: 3s", "timeout: 3", 4, `timeout: "3" is not a time such as 30s`},
		{"memory: 1536", "memory: -1", 5, "memory"},
		{"  lambda: {gbSecond", "  lamda: {gbSecond", 7, `"lamda" is none of lambda`},
		{"request: 0.0000002}", "request: -1}", 7, "below 0"},
	} {
		text := strings.Replace(gated, tt.from, tt.to, 1)
		if text == gated {
			t.Fatalf("%s is not there", tt.from)
		}
		_, err := Parse("tandem.yaml", []byte(text), secrets)
		var at *Error
		if !errors.As(err, &at) || at.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want line %d and %q", tt.to, err, tt.line, tt.want)
		}
	}
}

func TestReadyGatesAreSoundUntilTheConfigHasItsOwn(t *testing.T) {
	var empty Config
	gates, err := empty.AllGates()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pre-cutover", "in-window", "post-cutover", "post-failback"} {
		g, ok := gates[name]
		if !ok {
			t.Errorf("there is no %s", name)
		}
		if path, err := g.validate(); err != nil {
			t.Errorf("%s: %v at %v", name, err, path)
		}
		if m := g.Requirements().Mismatches; m == nil || *m != 0 {
			t.Errorf("%s allows mismatches", name)
		}
	}
	own := Config{Gates: map[string]Gate{"pre-cutover": {Against: "recording"}}}
	if gates, err = own.AllGates(); err != nil || len(gates) != 4 || gates["pre-cutover"].Against != "recording" {
		t.Errorf("%v, %v", gates, err)
	}
}

func TestLimitsAndPricesAreReadWithoutTheRest(t *testing.T) {
	text := strings.Replace(gated, "http://h:1/x", "${NOT_SET}", 1)
	c, err := Parse("tandem.yaml", []byte(text), secrets, "rules", "prices")
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits()["f"]["lambda"].MemoryMB != 512 || c.Prices["lambda"] == nil {
		t.Errorf("%+v %+v", c.Limits(), c.Prices)
	}
}
