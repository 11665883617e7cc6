package beside

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tandem/capture"
	"tandem/capture/customhandler"
	"tandem/capture/translate"
)

// ReadSettings reads from the app's settings how what the handler gets becomes Lambda's events, and App from the
// folder that the host starts handlers in. Complaints are about what could not be read of the app, which is a reason
// to guess more and not to stop.
//
// Settings for several functions, queues or containers are lists: "orders=arn:…, returns=arn:…". In those of HTTP an
// element without "=" is for all functions that have none of their own.
func ReadSettings(getenv func(string) string, dir string) (
	opts customhandler.ObserverOptions, complaints, err error) {
	var errs []error
	list := func(name string) map[string]string {
		values, err := parseList(getenv(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		return values
	}
	named := func(name string) map[string]string {
		values := list(name)
		if _, ok := values[""]; ok {
			errs = append(errs, fmt.Errorf("%s: %q has no name before it, as in name=value", name, values[""]))
		}
		return values
	}
	flag := func(name string) bool {
		switch value := strings.ToLower(getenv(name)); value {
		case "", "0", "false":
		case "1", "true":
			return true
		default:
			errs = append(errs, fmt.Errorf("%s=%q is neither true nor false", name, value))
		}
		return false
	}
	opts = customhandler.ObserverOptions{
		Names:     named("TANDEM_FUNCTIONS"),
		QueueARNs: named("TANDEM_QUEUES"),
		Blobs:     translate.BlobOptions{Buckets: named("TANDEM_BUCKETS"), Region: getenv("TANDEM_REGION")},
		Verbatim:  flag("TANDEM_VERBATIM"),
		Replays:   flag("TANDEM_RECORD_REPLAYS"),
	}
	formats, hosts, stages := list("TANDEM_HTTP_FORMAT"), list("TANDEM_HTTP_HOST"), list("TANDEM_HTTP_STAGE")
	all := translate.HTTPOptions{
		Routes: split(getenv("TANDEM_HTTP_ROUTES")), Rewrites: named("TANDEM_HTTP_REWRITES"),
		MultiValue: flag("TANDEM_HTTP_MULTI_VALUE"),
	}
	opts.HTTP = make(map[string]translate.HTTPOptions)
	for _, values := range []map[string]string{{"": ""}, formats, hosts, stages} {
		for function := range values {
			h := all
			h.Format = capture.Format(valueFor(formats, function))
			h.Host, h.Stage = valueFor(hosts, function), valueFor(stages, function)
			opts.HTTP[function] = h
		}
	}
	opts.App, complaints = customhandler.ReadApp(dir, getenv)
	if _, err := customhandler.NewObserver(opts); err != nil && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("TANDEM_HTTP_…: %w", err))
	}
	return opts, complaints, errors.Join(errs...)
}

func valueFor(values map[string]string, function string) string {
	if v, ok := values[function]; ok {
		return v
	}
	return values[""]
}

// parseList reads "a=1, b=2, 3"; what has no "=" is under "".
func parseList(text string) (map[string]string, error) {
	values := make(map[string]string)
	for _, element := range split(text) {
		name, value, found := strings.Cut(element, "=")
		if !found {
			name, value = "", element
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if found && name == "" || value == "" {
			return nil, fmt.Errorf("%q is not name=value", element)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		values[name] = value
	}
	return values, nil
}

// split returns the elements of a list, which commas or line ends separate.
func split(text string) []string {
	elements := strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == '\n' })
	for i := range elements {
		elements[i] = strings.TrimSpace(elements[i])
	}
	return slices.DeleteFunc(elements, func(e string) bool { return e == "" })
}
