package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"tandem/replay"
)

// replayPlan are the flags of replay that say what is fired when, as they are given.
type replayPlan struct {
	only                       []string
	sample                     string
	seed                       uint64
	repeat                     int
	calibrate                  bool
	fire                       []string
	warmUp                     string
	speed, rate, maxRate       string
	ramp, maxGap               time.Duration
	stopOn                     []string
	inFlight                   int
	timeout                    time.Duration
	progress, metrics          string
	resume, newConfig, salvage bool
	dry, json                  bool
	allowProduction            []string
	recipients                 recipientFlags
	keys                       identityFlags
}

func (p *replayPlan) addTo(f *pflag.FlagSet) {
	f.StringArrayVar(&p.only, "only", nil, "fire only where `KEY=VALUE` holds: function, trigger, format, status (as "+
		"recorded), id, from or to (RFC 3339 times); may be repeated, and values of one key are alternatives")
	f.StringVar(&p.sample, "sample", "", "fire this `share` of it, such as 5% or 0.05; lanes are taken as a whole")
	f.Uint64Var(&p.seed, "seed", 0, "`number` that decides what is in the sample")
	f.IntVar(&p.repeat, "repeat", 1, "replay the recording `N` times, one after the other")
	f.BoolVar(&p.calibrate, "calibrate", false, "fire each invocation twice at each target, to learn what differs by itself")
	f.StringSliceVar(&p.fire, "fire", nil, "fire at these `targets` alone: lambda or functions; the config need not have others")
	f.StringVar(&p.warmUp, "warm-up", "", "fire the first `N` invocations, or those of a time such as 30s, without trials")
	f.StringVar(&p.speed, "speed", "", "fire as recorded, so many times as fast: `1x`, 10x")
	f.DurationVar(&p.maxGap, "max-gap", time.Hour, "with --speed: longest recorded silence to wait for")
	f.StringVar(&p.rate, "rate", "", "fire so many invocations a second, or a minute: `200/s`, 30/m")
	f.DurationVar(&p.ramp, "ramp", 0, "with --rate: `time` in which it climbs from nothing")
	f.StringVar(&p.maxRate, "max-rate", "", "never fire more than this, however late: `50/s`")
	f.StringArrayVar(&p.allowProduction, "allow-production", nil, "fire at `FUNCTION/TARGET`, such as get-order/lambda, "+
		"although the config says that it is production; may be repeated")
	f.IntVar(&p.inFlight, "in-flight", 8, "`number` of invocations to fire at once")
	f.StringArrayVar(&p.stopOn, "stop-on", nil, "stop when too many trials fail: `errors>5%/30s`, or a status of outcomes "+
		"in the place of errors, or a number in that of the share; may be repeated")
	f.DurationVar(&p.timeout, "timeout", 20*time.Minute, "longest that one target may take for one invocation")
	f.BoolVar(&p.resume, "resume", false, "go on with the run in the output folder")
	f.BoolVar(&p.newConfig, "new-config", false, "with --resume: go on although functions or resources of the config have changed")
	f.BoolVar(&p.dry, "plan", false, "print what would be fired where, and what cannot be and why, and fire nothing")
	f.BoolVar(&p.json, "json", false, "with --plan: print one JSON document")
	f.BoolVar(&p.salvage, "salvage", false, "skip what is damaged, and tell how much")
	f.StringVar(&p.progress, "progress", "auto", "`how` to show progress on stderr: auto, json or none")
	p.recipients.register(f)
	p.keys.register(f)
	f.StringVar(&p.metrics, "metrics", "", "serve OpenMetrics on this `address`, such as :9464, on loopback unless it has a host")
}

// fill puts the flags into opts.
func (p *replayPlan) fill(opts *replay.Options) error {
	switch {
	case !p.dry && opts.Dir == "":
		return errors.New(`required flag(s) "output" not set`)
	case p.dry && p.resume:
		return errors.New("--plan tells of a whole run, and not of what --resume would go on with")
	case p.json && !p.dry:
		return errors.New("--json is how --plan prints; a run is told of by its manifest.json and by tandem compare --json")
	}
	if p.repeat < 1 || p.inFlight < 1 {
		return errors.New("--repeat and --in-flight take 1 or more")
	}
	if p.speed != "" && p.rate != "" {
		return errors.New("--speed and --rate both say when invocations are due: give one of them")
	}
	if p.ramp != 0 && p.rate == "" {
		return errors.New("--ramp climbs to a --rate, which is missing")
	}
	if p.seed != 0 && p.sample == "" {
		return errors.New("--seed decides about a --sample, which is missing")
	}
	if !slices.Contains([]string{"auto", "json", "none"}, p.progress) {
		return fmt.Errorf("--progress %s: there are auto, json, none", p.progress)
	}
	if err := p.checkFire(); err != nil {
		return err
	}
	opts.Fire = p.fire
	opts.InFlight, opts.TargetTimeout, opts.Repeat, opts.Calibrate = p.inFlight, p.timeout, p.repeat, p.calibrate
	opts.Resume, opts.NewConfig, opts.AllowProduction = p.resume, p.newConfig, p.allowProduction
	opts.Select = replay.Selection{Only: p.only, Seed: p.seed}
	opts.Pace = replay.Pace{Ramp: p.ramp, MaxGap: p.maxGap}
	for _, rule := range p.stopOn {
		r, err := replay.ParseStopRule(rule)
		if err != nil {
			return fmt.Errorf("--stop-on %w", err)
		}
		opts.StopOn = append(opts.StopOn, r)
	}
	return errors.Join(
		parseFlag("--sample", p.sample, parseShare, &opts.Select.Sample),
		parseFlag("--speed", p.speed, parseSpeed, &opts.Pace.Speed),
		parseFlag("--rate", p.rate, parseRate, &opts.Pace.Rate),
		parseFlag("--max-rate", p.maxRate, parseRate, &opts.Pace.MaxRate),
		parseFlag("--warm-up", p.warmUp, parseWarmUp, &opts.WarmUp),
	)
}

// checkFire leaves fire empty where it names all targets.
func (p *replayPlan) checkFire() error {
	seen := make(map[string]bool)
	for _, target := range p.fire {
		if target != lambdaTarget && target != functionsTarget || seen[target] {
			return fmt.Errorf("--fire %s: it takes lambda, functions, or both", strings.Join(p.fire, ","))
		}
		seen[target] = true
	}
	if len(seen) == 2 {
		p.fire = nil
	}
	return nil
}

// parseFlag reads a flag unless it is not given.
func parseFlag[T any](name, value string, parse func(string) (T, error), to *T) (err error) {
	if value == "" {
		return nil
	}
	if *to, err = parse(value); err != nil {
		return fmt.Errorf("%s %s: %w", name, value, err)
	}
	return nil
}

// positive reads a number above 0.
func positive(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number above 0", s)
	}
	return v, nil
}

func parseSpeed(s string) (float64, error) { return positive(strings.TrimSuffix(s, "x")) }

func parseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	v, err := positive(number)
	if percent {
		v /= 100
	}
	if err == nil && v > 1 {
		err = errors.New("it is more than all")
	}
	return v, err
}

// parseRate reads "200/s", "30/m", "1000/h", or a number a second.
func parseRate(s string) (float64, error) {
	number, unit, _ := strings.Cut(s, "/")
	v, err := positive(number)
	if err != nil {
		return 0, err
	}
	switch unit {
	case "", "s":
		return v, nil
	case "m":
		return v / 60, nil
	case "h":
		return v / 3600, nil
	}
	return 0, fmt.Errorf("a rate is so many /s, /m or /h, not /%s", unit)
}

func parseWarmUp(s string) (replay.WarmUp, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return replay.WarmUp{Invocations: n}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return replay.WarmUp{For: d}, nil
	}
	return replay.WarmUp{}, errors.New("it is neither a number of invocations nor a time such as 30s")
}
