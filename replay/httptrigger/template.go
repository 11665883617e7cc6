package httptrigger

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// pathParam is the name that stands for the whole path of the request. A path parameter of that name cannot be used.
const pathParam = "path"

// A template is a URL with {name} for path parameters and {path} for the whole path.
type template struct {
	texts []string // one more than names
	names []string
	base  url.URL // what is before the path
}

func parseTemplate(text string) (*template, error) {
	t := &template{}
	shown := withoutQuery(text) // for errors
	rest := text
	for {
		before, after, found := strings.Cut(rest, "{")
		t.texts = append(t.texts, before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		name = strings.TrimSuffix(name, "+") // as API Gateway writes a parameter with slashes in it
		if !closed || name == "" {
			return nil, fmt.Errorf("url %s: a { without a name and a }", shown)
		}
		t.names = append(t.names, name)
		rest = after
	}
	u, err := url.Parse(strings.Join(t.texts, "/x"))
	if err != nil {
		var of *url.Error // it has all of the URL
		if errors.As(err, &of) {
			err = of.Err
		}
		return nil, fmt.Errorf("url %s: %w", shown, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !strings.Contains(t.texts[0], "://"+u.Host) {
		return nil, fmt.Errorf("url %s: it has to begin with http:// or https:// and a host", shown)
	}
	if strings.HasSuffix(t.texts[0], "://"+u.Host) && len(t.names) > 0 && t.names[0] != pathParam {
		return nil, fmt.Errorf("url %s: a / is missing between the host and {%s}", shown, t.names[0])
	}
	t.base = url.URL{Scheme: u.Scheme, Host: u.Host}
	return t, nil
}

// withoutQuery leaves out of a URL what may be a key.
func withoutQuery(text string) string {
	before, _, found := strings.Cut(text, "?")
	if found {
		before += "?…"
	}
	if scheme, rest, ok := strings.Cut(before, "://"); ok {
		host, path, slash := strings.Cut(rest, "/")
		host = host[strings.LastIndexByte(host, '@')+1:]
		if slash {
			path = "/" + path
		}
		before = scheme + "://" + host + path
	}
	return before
}

// expand returns the URL for e, with e's query behind its own.
func (t *template) expand(e *request) (*url.URL, error) {
	var b strings.Builder
	b.Grow(len(t.texts[0]) + len(e.path))
	for i, text := range t.texts {
		b.WriteString(text)
		if i == len(t.names) {
			break
		}
		value, ok := e.path, true
		if t.names[i] != pathParam {
			value, ok = e.rawParam(t.names[i])
		}
		if !ok {
			return nil, fmt.Errorf("the event has no path parameter %s, which the URL needs", t.names[i])
		}
		if strings.HasSuffix(b.String(), "/") {
			value = strings.TrimPrefix(value, "/")
		}
		b.WriteString(value)
	}
	u, err := t.parse(b.String())
	if err != nil {
		return nil, fmt.Errorf("the URL for the event: %w", err)
	}
	if u.RawQuery != "" && e.query != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += e.query
	return u, nil
}

// parse parses a URL that t made. Most paths have nothing in them that would have to be looked at.
func (t *template) parse(text string) (*url.URL, error) {
	path, ok := strings.CutPrefix(text, t.base.Scheme+"://"+t.base.Host)
	if ok && strings.HasPrefix(path, "/") && isPlainPath(path) {
		u := t.base
		u.Path = path
		return &u, nil
	}
	return url.Parse(text)
}

// isPlainPath reports whether a path is the same with escapes and without, and nothing but a path.
func isPlainPath(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '-', c == '_', c == '.', c == '~':
		default:
			return false
		}
	}
	return true
}
