package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tandem/capture"
	"tandem/capture/redact"
	"tandem/capture/runtimeapi"
)

// A config is what the environment's variables say.
type config struct {
	platform string // the Runtime API that Lambda gave, host:port
	upstream string // where the proxy passes requests on to: the platform, or another proxy
	port     int    // to listen on; 0 for any
	function string

	sink  *url.URL
	token string

	sample       float64 // the share of invocations that is recorded
	keepPerShape int     // how many of a shape are recorded before sampleRest counts; 0 for no limit
	sampleRest   int     // then one in so many; 0 for none
	maxEvent     int     // bytes
	buffer       int     // bytes of invocations that wait for the sink
	flushTimeout time.Duration
	longestRest  time.Duration // that a sink that fails is left alone for; 0 for the default
	concurrency  int
	redactor     capture.Redactor // nil for none
}

// The defaults. A flush counts against the function's duration, so a sink that does not answer gets a second of it,
// and then some rest. The buffer takes one invocation of the largest size with its answer.
const (
	defaultFlushTimeout = time.Second
	defaultBuffer       = 16 << 20
)

// readConfig reads all variables, and reports all that is wrong with them.
func readConfig(getenv func(string) string) (config, error) {
	c, err := readRecording(getenv)
	c.platform = getenv("AWS_LAMBDA_RUNTIME_API")
	c.upstream = cmp.Or(getenv("TANDEM_RUNTIME_API"), c.platform)
	for _, address := range []string{c.platform, c.upstream} {
		if _, _, badAddress := net.SplitHostPort(address); badAddress != nil {
			return c, errors.Join(fmt.Errorf("the address of the Runtime API is %q, not host:port", address), err)
		}
	}
	return c, err
}

// readRecording reads those that say what is recorded, and where to.
func readRecording(getenv func(string) string) (config, error) {
	c := config{function: getenv("AWS_LAMBDA_FUNCTION_NAME"), token: getenv("TANDEM_SINK_TOKEN")}
	var errs []error
	number := func(name string, value *int, otherwise, atLeast int) {
		*value = otherwise
		text := getenv(name)
		if text == "" {
			return
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < atLeast {
			errs = append(errs, fmt.Errorf("%s=%q is not a number from %d", name, text, atLeast))
			return
		}
		*value = n
	}
	number("TANDEM_PORT", &c.port, 0, 0)
	number("TANDEM_KEEP_PER_SHAPE", &c.keepPerShape, 0, 1)
	number("TANDEM_SAMPLE_REST", &c.sampleRest, 0, 0)
	number("TANDEM_MAX_EVENT", &c.maxEvent, runtimeapi.MaxPayload, 1)
	number("TANDEM_BUFFER", &c.buffer, defaultBuffer, 1)
	number("AWS_LAMBDA_MAX_CONCURRENCY", &c.concurrency, 1, 1)
	c.sample = 1
	if text := getenv("TANDEM_SAMPLE"); text != "" {
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate >= 0 && rate <= 1) {
			errs = append(errs, fmt.Errorf("TANDEM_SAMPLE=%q is not a share from 0 to 1", text))
		}
		c.sample = rate
	}
	c.flushTimeout = defaultFlushTimeout
	if text := getenv("TANDEM_FLUSH_TIMEOUT"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			errs = append(errs, fmt.Errorf("TANDEM_FLUSH_TIMEOUT=%q is not a duration such as 500ms", text))
		}
		c.flushTimeout = d
	}
	var err error
	if c.sink, err = parseSink(getenv("TANDEM_SINK")); err != nil {
		errs = append(errs, err)
	}
	if c.redactor, err = readRedactor(getenv); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// readRedactor reads what is to be replaced in invocations before they leave the environment. Errors do not repeat
// the key.
func readRedactor(getenv func(string) string) (capture.Redactor, error) {
	switch no := getenv("TANDEM_NO_REDACT"); no {
	case "":
	case "1":
		return nil, nil
	default:
		return nil, fmt.Errorf("TANDEM_NO_REDACT=%q is not 1", no)
	}
	var opts redact.Options
	var err error
	if opts.Rules, err = redact.ParseRules([]byte(getenv("TANDEM_REDACT"))); err != nil {
		return nil, fmt.Errorf("TANDEM_REDACT: %w", err)
	}
	if key := getenv("TANDEM_REDACT_KEY"); key != "" {
		opts.Key = []byte(key)
	}
	r, err := redact.New(opts)
	if err != nil {
		return nil, fmt.Errorf("TANDEM_REDACT_KEY: %w", err)
	}
	return r, nil
}

// parseSink reads TANDEM_SINK. It does not repeat it in errors, because it may have a password.
func parseSink(text string) (*url.URL, error) {
	const forms = "file:/tmp/x.rec, https://collector, log: or s3://bucket/prefix"
	if text == "" {
		return nil, errors.New("TANDEM_SINK is not set: it is " + forms)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("TANDEM_SINK is not a URL: it is " + forms)
	}
	valid := false
	switch u.Scheme {
	case "file":
		valid = u.Host == "" && filePath(u) != ""
	case "http", "https", "s3":
		valid = u.Host != ""
	case "log":
		valid = u.Host == "" && strings.Trim(u.Path+u.Opaque, "/") == ""
	}
	if !valid {
		return nil, errors.New("TANDEM_SINK is none of " + forms)
	}
	return u, nil
}

// filePath returns the path in a file URL, with or without slashes after the colon.
func filePath(u *url.URL) string { return u.Opaque + u.Path }
