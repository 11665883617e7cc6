package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/compare"
)

// A Gate says what to fire, what to compare with, and how much evidence parity takes.
type Gate struct {
	// Fire has the targets: lambda, functions or both, which is the default. The candidate is functions where they are
	// fired at.
	Fire []string `yaml:"fire"`
	// Against is the baseline: lambda, which has to be fired at; recording; or run:PATH, for the candidate's outcomes in
	// an earlier run. The default is lambda, or recording where lambda is all that is fired at.
	Against string  `yaml:"against"`
	Require Require `yaml:"require"`
}

// Require is what a gate demands. Shares are written like 0.1% or 0.001. What is left out is not demanded, but for
// unknown, unreplayable and expired-rules, which are 0, and mismatches, which are 0 where no upper bound is given.
type Require struct {
	MismatchUpperBound         string   `yaml:"mismatch-upper-bound"`          // share of invocations that may still differ
	FunctionMismatchUpperBound string   `yaml:"function-mismatch-upper-bound"` // the same, of each function's
	Mismatches                 *int64   `yaml:"mismatches"`                    // trials that may differ
	Unknown                    string   `yaml:"unknown"`                       // share of trials that may be inconclusive
	Unreplayable               string   `yaml:"unreplayable"`                  // share of trials that may not be sent
	PerShape                   int64    `yaml:"per-shape"`                     // trials of each shape in the recording
	Coverage                   Coverage `yaml:"coverage"`
	Unchecked                  string   `yaml:"unchecked"`     // share of values that rules may leave unchecked
	ExpiredRules               int64    `yaml:"expired-rules"` // rules that may have expired
	// Effects is false where they need not be known of both sides to compare the rest.
	Effects    *bool    `yaml:"effects"`
	Calibrate  bool     `yaml:"calibrate"` // fire each invocation twice at each target
	Latency    Latency  `yaml:"latency"`
	Headroom   Headroom `yaml:"headroom"`
	PriceRatio *float64 `yaml:"price-ratio"` // the candidate's price over the baseline's
}

// Coverage has shares of what the recording has seen that have to be compared.
type Coverage struct {
	Shapes   string `yaml:"shapes"`
	Formats  string `yaml:"formats"`
	Statuses string `yaml:"statuses"` // how invocations ended: 2xx, 4xx, function_error
}

// Latency has the candidate's percentiles over the baseline's.
type Latency struct {
	P50 *float64 `yaml:"p50-ratio"`
	P95 *float64 `yaml:"p95-ratio"`
	P99 *float64 `yaml:"p99-ratio"`
}

// Headroom has shares of the candidate's limits that have to be left.
type Headroom struct {
	Timeout string `yaml:"timeout"`
	Memory  string `yaml:"memory"`
}

// Limits are what a deployment is given. Neither changes what is fired.
type Limits struct {
	Memory  string `yaml:"memory"`  // in MB
	Timeout string `yaml:"timeout"` // such as 30s
}

// RunPrefix begins an Against that names a run.
const RunPrefix = "run:"

// WithDefaults fills in what is fired and what that is compared with.
func (g Gate) WithDefaults() Gate {
	if len(g.Fire) == 0 {
		g.Fire = []string{"lambda", "functions"}
	}
	if g.Against == "" {
		g.Against = "lambda"
		if g.Candidate() == "lambda" {
			g.Against = "recording"
		}
	}
	return g
}

// Candidate is the target that has to be like the baseline.
func (g Gate) Candidate() string {
	if len(g.Fire) == 0 || slices.Contains(g.Fire, "functions") {
		return "functions"
	}
	return "lambda"
}

// validate returns what is wrong with the gate, and the path to its key.
func (g Gate) validate() (path []any, err error) {
	seen := make(map[string]bool)
	for i, target := range g.Fire {
		if target != "lambda" && target != "functions" {
			return []any{"fire", i}, fmt.Errorf("fire: %q is neither lambda nor functions", target)
		}
		if seen[target] {
			return []any{"fire", i}, fmt.Errorf("fire: %s is there twice", target)
		}
		seen[target] = true
	}
	if g.Fire != nil && len(g.Fire) == 0 {
		return []any{"fire"}, errors.New("fire: it is empty")
	}
	g = g.WithDefaults()
	path = []any{"against"}
	if run, ok := strings.CutPrefix(g.Against, RunPrefix); ok && run == "" {
		return path, errors.New("against: which run? run:PATH")
	} else if !ok && g.Against != "lambda" && g.Against != "recording" {
		return path, fmt.Errorf("against: %q is neither lambda, recording nor run:PATH", g.Against)
	}
	if g.Against == "lambda" && g.Candidate() == "lambda" {
		return path, errors.New("against: lambda would be compared with itself; fire at functions, or compare with recording")
	}
	if g.Against == "lambda" && !slices.Contains(g.Fire, "lambda") {
		return path, errors.New("against: lambda is not fired at: add it to fire, or compare with recording")
	}
	if g.Require.Calibrate && g.Against == "recording" {
		return []any{"require", "calibrate"}, errors.New("require.calibrate: what was recorded cannot be fired twice")
	}
	_, err = g.Require.parse()
	if err != nil {
		path = []any{"require"}
		key, _, _ := strings.Cut(err.Error(), ":")
		for part := range strings.SplitSeq(key, ".") {
			path = append(path, part)
		}
	}
	return path, err
}

// Requirements are what parity takes. The gate was validated.
func (g Gate) Requirements() compare.Requirements {
	required, err := g.Require.parse()
	if err != nil {
		panic(fmt.Sprintf("config: gate was not validated: %v", err))
	}
	return required
}

// parse returns an error that begins with the key.
func (r *Require) parse() (compare.Requirements, error) {
	p := gateParser{}
	c := compare.Requirements{
		MismatchUpperBound:         p.share("mismatch-upper-bound", r.MismatchUpperBound),
		FunctionMismatchUpperBound: p.share("function-mismatch-upper-bound", r.FunctionMismatchUpperBound),
		Mismatches:                 r.Mismatches,
		Unknown:                    p.shareOrNone("unknown", r.Unknown),
		Unreplayable:               p.shareOrNone("unreplayable", r.Unreplayable),
		PerShape:                   p.number("per-shape", r.PerShape),
		Coverage: compare.CoverageShares{
			Shapes:   p.shareOrNone("coverage.shapes", r.Coverage.Shapes),
			Formats:  p.shareOrNone("coverage.formats", r.Coverage.Formats),
			Statuses: p.shareOrNone("coverage.statuses", r.Coverage.Statuses),
		},
		Unchecked:    p.share("unchecked", r.Unchecked),
		ExpiredRules: p.number("expired-rules", r.ExpiredRules),
		AnyEffects:   r.Effects != nil && !*r.Effects,
		Calibrate:    r.Calibrate,
		PriceRatio:   p.ratio("price-ratio", r.PriceRatio),
	}
	if r.Mismatches != nil {
		p.number("mismatches", *r.Mismatches)
	}
	for _, key := range []string{"mismatch-upper-bound", "function-mismatch-upper-bound"} {
		if bound := map[string]*float64{"mismatch-upper-bound": c.MismatchUpperBound,
			"function-mismatch-upper-bound": c.FunctionMismatchUpperBound}[key]; bound != nil && *bound == 0 {
			p.fail(key, "no number of trials shows that it is 0: say mismatches: 0, or a share above it")
		}
	}
	c.Latency.P50 = p.ratio("latency.p50-ratio", r.Latency.P50)
	c.Latency.P95 = p.ratio("latency.p95-ratio", r.Latency.P95)
	c.Latency.P99 = p.ratio("latency.p99-ratio", r.Latency.P99)
	c.Headroom.Timeout = p.share("headroom.timeout", r.Headroom.Timeout)
	c.Headroom.Memory = p.share("headroom.memory", r.Headroom.Memory)
	return c, p.err
}

// gateParser keeps the first error.
type gateParser struct{ err error }

func (p *gateParser) fail(key, format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	}
}

// share reads "0.1%" or "0.001"; nil for nothing.
func (p *gateParser) share(key, text string) *float64 {
	if text == "" {
		return nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		p.fail(key, "%q is not a share, such as 0.1%% or 0.001", text)
		return nil
	}
	return &v
}

func (p *gateParser) shareOrNone(key, text string) float64 {
	if v := p.share(key, text); v != nil {
		return *v
	}
	return 0
}

func (p *gateParser) number(key string, n int64) int64 {
	if n < 0 {
		p.fail(key, "it is below 0")
	}
	return n
}

func (p *gateParser) ratio(key string, v *float64) float64 {
	if v == nil {
		return 0
	}
	if !(*v > 0) || math.IsInf(*v, 0) {
		p.fail(key, "%v is not a number above 0", *v)
	}
	return *v
}

func (l *loader) checkGates(c *Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.Gates)) {
		if path, err := c.Gates[name].validate(); err != nil {
			return l.fail(err, append([]any{"gates", name}, path...)...)
		}
	}
	return nil
}

// checkPrices checks what things cost and what deployments are given, too.
func (l *loader) checkPrices(c *Config) error {
	for _, name := range slices.Sorted(maps.Keys(c.Prices)) {
		price := c.Prices[name]
		switch {
		case !slices.Contains([]string{"lambda", "functions", "recording"}, name):
			return l.fail(fmt.Errorf("prices: %q is none of lambda, functions, recording", name), "prices", name)
		case price == nil:
			return l.fail(fmt.Errorf("prices: those of %s are missing", name), "prices", name)
		case !(min(price.GBSecond, price.Request, price.MinMS, price.StepMS) >= 0):
			return l.fail(errors.New("prices: one is below 0"), "prices", name)
		}
	}
	_, err := c.limits(func(err error, path ...any) error { return l.fail(err, path...) })
	return err
}

// Limits are what deployments are given, by function and target.
func (c *Config) Limits() map[string]map[string]compare.Limits {
	found, err := c.limits(func(err error, _ ...any) error { return err })
	if err != nil {
		panic(fmt.Sprintf("config: limits were not validated: %v", err))
	}
	return found
}

func (c *Config) limits(fail func(err error, path ...any) error) (map[string]map[string]compare.Limits, error) {
	all := make(map[string]map[string]compare.Limits)
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		f := c.Functions[name]
		of := make(map[string]compare.Limits)
		for _, side := range []string{"lambda", "functions"} {
			var given Limits
			switch {
			case side == "lambda" && f.Lambda != nil:
				given = f.Lambda.Limits
			case side == "functions" && f.Functions != nil:
				given = f.Functions.Limits
			}
			limits, err := given.parse()
			if err != nil {
				key, _, _ := strings.Cut(err.Error(), ":")
				return nil, fail(err, "functions", name, side, key)
			}
			of[side] = limits
		}
		of["recording"] = of["lambda"] // where it was made
		all[name] = of
	}
	return all, nil
}

func (g Limits) parse() (l compare.Limits, err error) {
	if g.Memory != "" {
		if l.MemoryMB, err = strconv.ParseFloat(g.Memory, 64); err != nil || !(l.MemoryMB > 0) || math.IsInf(l.MemoryMB, 0) {
			return l, fmt.Errorf("memory: %q is not a number of MB", g.Memory)
		}
	}
	if g.Timeout != "" {
		if l.Timeout, err = time.ParseDuration(g.Timeout); err != nil || l.Timeout <= 0 {
			return l, fmt.Errorf("timeout: %q is not a time such as 30s", g.Timeout)
		}
	}
	return l, nil
}
