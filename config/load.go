package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"tandem/replay"
	"tandem/replay/rewrite"
)

// An Error is a mistake in a config file.
type Error struct {
	File string
	Line int // 0 when it is the whole file
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Load reads the config in path. With an empty path it reads the one in the current folder, and returns the empty
// Config when there is none. See [Parse] for the rest.
func Load(path string, getenv func(string) (string, bool), sections ...string) (*Config, error) {
	optional := path == ""
	if optional {
		path = DefaultName
	}
	text, err := os.ReadFile(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return &Config{Version: Version}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the config: %w", err)
	}
	return Parse(path, text, getenv, sections...)
}

// Parse reads a config. Name is the file's, for errors, which are of type [*Error]. Getenv looks up variables, as
// os.LookupEnv does. Sections are the keys at the top that the caller wants, all by default: what is wrong with the
// values of others is no error, a variable that is not set least of all, and they are not to be used.
func Parse(name string, text []byte, getenv func(string) (string, bool), sections ...string) (c *Config, err error) {
	l := loader{name: name, sections: sections}
	// The YAML package panics on some malformed documents, which fuzzing found: those with tags, for one.
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, &Error{File: name, Err: fmt.Errorf("this is not YAML that can be read: %v", p)}
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, l.yamlError(err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, &Error{File: name, Err: errors.New("it has to be one YAML document, which starts with version: 1")}
	}
	l.body = file.Docs[0].Body
	fired, firedErr := fireHash(l.body)
	if err := l.expand(getenv); err != nil {
		return nil, err
	}
	c = new(Config)
	if err := yaml.NodeToValue(l.body, c, yaml.Strict()); err != nil {
		return nil, l.yamlError(err)
	}
	if err := l.check(c); err != nil {
		return nil, err
	}
	if firedErr != nil { // what is wrong with the file was told better before
		return nil, &Error{File: name, Err: firedErr}
	}
	sum := sha256.Sum256(text)
	c.Hash, c.FireHash = hex.EncodeToString(sum[:]), fired
	return c, nil
}

// loader reads one file.
type loader struct {
	name     string
	body     ast.Node
	sections []string // that are wanted; none for all
	unset    error    // the first variable that is wanted and not set
}

func (l *loader) wants(section string) bool {
	return len(l.sections) == 0 || slices.Contains(l.sections, section)
}

// yamlError takes the line and the message out of an error of the YAML package, whose own form spreads over many
// lines.
func (l *loader) yamlError(err error) error {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		return &Error{File: l.name, Err: err}
	}
	message := y.GetMessage()
	if field, ok := strings.CutPrefix(message, "unknown field "); ok {
		message = fmt.Sprintf("there is no key %s here", field)
	}
	return &Error{File: l.name, Line: y.GetToken().Position.Line, Err: errors.New(message)}
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand fills in ${VAR} in all texts. Where nobody wants the text, a variable may be unset, and stays.
func (l *loader) expand(getenv func(string) (string, bool)) error {
	e := expander{loader: l, getenv: getenv, wanted: true}
	body, ok := l.body.(*ast.MappingNode)
	if !ok {
		ast.Walk(&e, l.body)
		return l.unset
	}
	for _, section := range body.Values {
		e.wanted = l.wants(section.Key.GetToken().Value)
		ast.Walk(&e, section)
	}
	return l.unset
}

type expander struct {
	*loader
	getenv func(string) (string, bool)
	wanted bool // what is walked
}

// Visit implements [ast.Visitor].
func (e *expander) Visit(node ast.Node) ast.Visitor {
	if _, ok := node.(*ast.AnchorNode); ok {
		return &expander{loader: e.loader, getenv: e.getenv, wanted: true} // for others may refer to it
	}
	text, ok := node.(*ast.StringNode)
	if !ok {
		return e
	}
	text.Value = variable.ReplaceAllStringFunc(text.Value, func(reference string) string {
		name := reference[2 : len(reference)-1]
		value, set := e.getenv(name)
		if !set && !e.wanted {
			return reference
		}
		if !set && e.unset == nil {
			e.unset = &Error{e.name, text.GetToken().Position.Line, fmt.Errorf("the environment variable %s is not set", name)}
		}
		return value
	})
	return e
}

// fail returns an error at the line of the node that path leads to, or of the nearest one above it. Each part of the
// path is a key (string) or an index (int).
func (l *loader) fail(err error, path ...any) error {
	line := 0
	for n := len(path); n > 0 && line == 0; n-- {
		b := (&yaml.PathBuilder{}).Root()
		for _, part := range path[:n] {
			switch part := part.(type) {
			case string:
				b = b.Child(part)
			case int:
				b = b.Index(uint(part))
			}
		}
		if node, err := b.Build().FilterNode(l.body); err == nil && node != nil {
			line = node.GetToken().Position.Line
		}
	}
	return &Error{File: l.name, Line: line, Err: err}
}

// hasVersion reports whether the file says anything of its version.
func (l *loader) hasVersion() bool {
	node, err := (&yaml.PathBuilder{}).Root().Child("version").Build().FilterNode(l.body)
	if err != nil || node == nil {
		return false
	}
	_, null := node.(*ast.NullNode)
	return !null
}

func (l *loader) check(c *Config) error {
	if c.Version == 0 && !l.hasVersion() {
		return l.fail(fmt.Errorf("version: it is missing: begin the file with the line version: %d", Version), "version")
	}
	if c.Version != Version {
		return l.fail(fmt.Errorf("version: this tandem reads version %d, not %d", Version, c.Version), "version")
	}
	if l.wants("resources") {
		if err := c.Resources.Validate(); err != nil {
			return l.fail(err, "resources")
		}
	}
	if l.wants("functions") {
		for name, f := range c.Functions {
			if err := l.checkFunction(name, f); err != nil {
				return err
			}
		}
		if err := l.checkRewriting(c); err != nil {
			return err
		}
		if err := l.checkStores(c); err != nil {
			return err
		}
		if err := l.checkCompletions(c); err != nil {
			return err
		}
	}
	if l.wants("gates") {
		if err := l.checkGates(c); err != nil {
			return err
		}
	}
	if l.wants("prices") {
		if err := l.checkPrices(c); err != nil {
			return err
		}
	}
	if l.wants("redact") {
		for i, r := range c.Redact {
			if err := r.Validate(); err != nil {
				key, _, _ := strings.Cut(err.Error(), ":")
				return l.fail(err, "redact", i, key)
			}
		}
	}
	if l.wants("rules") {
		return l.readRules(c)
	}
	return nil
}

func (l *loader) checkFunction(name string, f Function) error {
	if f.Lambda != nil {
		if err := f.Lambda.validate(); err != nil {
			at, where := []any{"functions", name, "lambda"}, err.Error()
			where, _, _ = strings.Cut(where, ":")
			for key := range strings.SplitSeq(where, ".") {
				at = append(at, key)
			}
			return l.fail(err, at...)
		}
	}
	if f.Lambda != nil && f.Lambda.InFlight < 0 {
		return l.fail(errors.New("inFlight is below 0"), "functions", name, "lambda", "inFlight")
	}
	if f.Lambda != nil && !isEnvironment(f.Lambda.Environment) {
		return l.fail(noEnvironment(f.Lambda.Environment), "functions", name, "lambda", "environment")
	}
	if f.Functions == nil {
		return nil
	}
	at := []any{"functions", name, "functions"}
	ways := f.Functions.ways()
	switch {
	case len(ways) != 1:
		return l.fail(errors.New("say in one way how the function is fired: http, handler, queue, servicebus, blob, "+
			"eventgrid or eventhub"), at...)
	case !isEnvironment(f.Functions.Environment):
		return l.fail(noEnvironment(f.Functions.Environment), append(at, "environment")...)
	case f.Functions.HTTP != nil && f.Functions.HTTP.Durable && f.Functions.Effects != "":
		return l.fail(errNoMark, append(at, "effects")...)
	case f.Functions.InFlight < 0:
		return l.fail(errors.New("inFlight is below 0"), append(at, "inFlight")...)
	}
	if f.Functions.Completion != nil {
		ways["completion"] = f.Functions.Completion
	}
	for key, way := range ways {
		if err := way.validate(); err != nil {
			at := append(at, key)
			if where, _, ok := strings.Cut(err.Error(), ":"); ok {
				for part := range strings.SplitSeq(where, ".") {
					at = append(at, part)
				}
			}
			return l.fail(err, at...)
		}
	}
	return nil
}

func (l *loader) checkRewriting(c *Config) error {
	for name, f := range c.Functions {
		sides := make(map[string][]rewrite.Change)
		if f.Lambda != nil {
			sides["lambda"] = f.Lambda.Rewrite
		}
		if f.Functions != nil {
			sides["functions"] = f.Functions.Rewrite
		}
		for side, rules := range sides {
			for i := range rules {
				err := rules[i].ReadKeys(filepath.Dir(l.name))
				if err == nil {
					err = rules[i].Validate()
				}
				if err != nil {
					key, _, _ := strings.Cut(err.Error(), ":")
					return l.fail(err, "functions", name, side, "rewrite", i, key)
				}
			}
		}
	}
	return nil
}

func isEnvironment(e replay.Environment) bool {
	return slices.Contains([]replay.Environment{"", replay.Sandbox, replay.Staging, replay.Production}, e)
}

func noEnvironment(e replay.Environment) error {
	return fmt.Errorf("environment: %q is none of sandbox, staging, production", e)
}
