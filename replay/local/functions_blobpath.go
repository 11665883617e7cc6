package local

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A blobPath is the path of a blob trigger, "container/{name}.csv", or a container's name for all of its blobs.
type blobPath struct {
	container string
	pattern   *regexp.Regexp // of "container/name"
}

var (
	pathParameter = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	containerName = regexp.MustCompile(`^[a-z0-9](?:-?[a-z0-9]){2,62}$|^\$root$|^\$web$`)
)

// parseBlobPath reads a path. A parameter takes as much as it can, slashes too, and braces are doubled where they are
// meant (BindingTemplateSource.cs in https://github.com/Azure/azure-webjobs-sdk).
func parseBlobPath(path string) (*blobPath, error) {
	container, name, _ := strings.Cut(path, "/")
	if !containerName.MatchString(container) {
		return nil, fmt.Errorf("path %q does not begin with the name of a container", path)
	}
	if name == "" {
		return &blobPath{container, regexp.MustCompile("^" + regexp.QuoteMeta(container) + "/")}, nil
	}
	var pattern, literal strings.Builder
	flush := func() {
		pattern.WriteString(regexp.QuoteMeta(literal.String()))
		literal.Reset()
	}
	pattern.WriteString("^" + regexp.QuoteMeta(container+"/"))
	seen := make(map[string]bool)
	for rest := name; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal.WriteByte(rest[0])
			rest = rest[2:]
		case rest[0] == '}':
			return nil, fmt.Errorf("path %q: a } without its {", path)
		case rest[0] == '{':
			parameter, after, ok := strings.Cut(rest[1:], "}")
			if !ok || !pathParameter.MatchString(parameter) {
				return nil, fmt.Errorf("path %q: %q is no parameter; write {name}", path, rest)
			}
			if seen[strings.ToLower(parameter)] {
				return nil, fmt.Errorf("path %q: the parameter %s is there twice", path, parameter)
			}
			seen[strings.ToLower(parameter)] = true
			flush()
			fmt.Fprintf(&pattern, "(?P<%s>.*)", parameter)
			rest = after
		default:
			literal.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	compiled, err := regexp.Compile(pattern.String() + "$")
	if err != nil {
		return nil, errors.New("path: " + err.Error())
	}
	return &blobPath{container, compiled}, nil
}

// match returns what the parameters are for a blob of the container; ok is false when the path is not that blob's.
func (p *blobPath) match(name string) (params map[string]string, ok bool) {
	found := p.pattern.FindStringSubmatch(p.container + "/" + name)
	if found == nil {
		return nil, false
	}
	params = make(map[string]string)
	for i, parameter := range p.pattern.SubexpNames() {
		if parameter != "" {
			params[parameter] = found[i]
		}
	}
	return params, true
}
