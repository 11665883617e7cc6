package customhandler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// An App is what the files of a Functions app say, as far as a recorder beside its handler needs it. The zero value
// says nothing.
type App struct {
	Prefix    string // of HTTP routes, without slashes
	Forward   bool   // functions with an HTTP trigger, an HTTP output and nothing else get plain requests
	Functions map[string]*Function

	routes []*Function // in the order in which they are tried
}

// A Function is one function.json.
type Function struct {
	Name    string
	Trigger Binding
	Outputs []Binding

	plain bool
	route *Route
}

// A Binding is one entry of function.json, with the fields that a recorder looks at.
type Binding struct {
	Type      string   `json:"type"`
	Direction string   `json:"direction"`
	Name      string   `json:"name"`
	DataType  string   `json:"dataType"`
	AuthLevel string   `json:"authLevel"`
	Methods   []string `json:"methods"`
	Route     string   `json:"route"`
	QueueName string   `json:"queueName"`
	TopicName string   `json:"topicName"`
	Path      string   `json:"path"`
}

// Binary tells whether the value is bytes, in base64.
func (b *Binding) Binary() bool { return strings.EqualFold(b.DataType, "binary") }

// ReadApp reads the app in dir. Getenv has the app's settings, for %NAME% in names. Besides the error, which is about
// all that could not be read, there always is an App with what could.
func ReadApp(dir string, getenv func(string) string) (*App, error) {
	app := &App{Prefix: "api", Functions: make(map[string]*Function)}
	var host struct {
		Extensions struct {
			HTTP struct {
				RoutePrefix *string `json:"routePrefix"`
			} `json:"http"`
		} `json:"extensions"`
		CustomHandler struct {
			Forward bool `json:"enableForwardingHttpRequest"`
		} `json:"customHandler"`
	}
	errs := []error{readJSON(filepath.Join(dir, "host.json"), &host)}
	if p := host.Extensions.HTTP.RoutePrefix; p != nil {
		app.Prefix = strings.Trim(*p, "/")
	}
	app.Forward = host.CustomHandler.Forward
	files, err := filepath.Glob(filepath.Join(dir, "*", "function.json"))
	errs = append(errs, err)
	for _, file := range files {
		fn, err := readFunction(file, getenv)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			continue
		}
		app.Functions[fn.Name] = fn
		if fn.route != nil {
			app.routes = append(app.routes, fn)
		}
	}
	slices.SortStableFunc(app.routes, func(a, b *Function) int { return CompareRoutes(a.route, b.route) })
	return app, errors.Join(errs...)
}

func readFunction(file string, getenv func(string) string) (*Function, error) {
	var doc struct {
		Bindings []Binding `json:"bindings"`
	}
	if err := readJSON(file, &doc); err != nil {
		return nil, err
	}
	fn := &Function{Name: filepath.Base(filepath.Dir(file))}
	inputs := 0
	for _, b := range doc.Bindings {
		for _, field := range []*string{&b.QueueName, &b.TopicName, &b.Path} {
			*field = expand(*field, getenv)
		}
		switch {
		case strings.HasSuffix(strings.ToLower(b.Type), "trigger"):
			fn.Trigger = b
			inputs++
		case strings.EqualFold(b.Direction, "in"):
			inputs++
		default:
			fn.Outputs = append(fn.Outputs, b)
		}
	}
	if fn.Trigger.Type == "" {
		return nil, errors.New("no trigger among the bindings")
	}
	output, hasHTTP := fn.httpOutput()
	fn.plain = inputs == 1 && len(fn.Outputs) == 1 && hasHTTP && output != ""
	if !strings.EqualFold(fn.Trigger.Type, "httpTrigger") {
		return fn, nil
	}
	template := fn.Trigger.Route
	if template == "" {
		template = fn.Name
	}
	var err error
	fn.route, err = ParseRoute(template)
	return fn, err
}

// httpOutput returns the name of the HTTP output; ok is false when there is none.
func (fn *Function) httpOutput() (name string, ok bool) {
	for _, b := range fn.Outputs {
		if strings.EqualFold(b.Type, "http") {
			return b.Name, true
		}
	}
	return "", false
}

// forwarded returns the function whose plain request has this method and escaped path; nil when it is not one.
func (app *App) forwarded(method, path string) *Function {
	if !app.Forward {
		return nil
	}
	prefix := "/" + app.Prefix
	rest := path
	if app.Prefix != "" {
		if len(path) < len(prefix) || !strings.EqualFold(path[:len(prefix)], prefix) {
			return nil
		}
		rest = path[len(prefix):]
		if rest != "" && rest[0] != '/' {
			return nil
		}
	}
	for _, fn := range app.routes {
		m := fn.Trigger.Methods
		if !fn.plain || m != nil && !slices.ContainsFunc(m, func(m string) bool { return strings.EqualFold(m, method) }) {
			continue
		}
		if _, ok := fn.route.Match(strings.Trim(rest, "/")); ok {
			return fn
		}
	}
	return nil
}

func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

var percentName = regexp.MustCompile(`%[^%]+%`)

// expand puts the values of %NAME% into text. Names that are not set stay, as on Azure.
func expand(text string, getenv func(string) string) string {
	return percentName.ReplaceAllStringFunc(text, func(name string) string {
		if value := getenv(strings.Trim(name, "%")); value != "" {
			return value
		}
		return name
	})
}
