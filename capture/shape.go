package capture

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// Shape returns the structure of an event as 16 hexadecimal digits: which fields it has and of which types. Two
// events of one shape exercise a function alike, so coverage is counted in shapes.
//
// What a function branches on counts, what every client sends differently does not. So the method, the route, the
// bucket event and the media types count by value; JSON in a body counts by its own structure; an empty list is told
// from one with elements, and a list counts as the set of its elements' shapes. The names of headers and everything
// in requestContext do not count. An event that is not JSON has the shape of its text.
func Shape(event []byte) string {
	v, err := jsonval.Parse(event)
	return shapeOf(v, err)
}

// shapeOf returns the shape of an event that was parsed, or could not be.
func shapeOf(v jsonval.Value, err error) string {
	if err != nil {
		v = jsonval.Text("")
	}
	s := shaper{make([]byte, 0, 512)}
	s.event(v, detect(v))
	sum := sha256.Sum256(s.out)
	return hex.EncodeToString(sum[:8])
}

// shaper writes a description of an event's structure.
type shaper struct{ out []byte }

func (s *shaper) write(parts ...string) {
	for _, p := range parts {
		s.out = append(s.out, p...)
	}
}

func (s *shaper) event(v jsonval.Value, format Format) {
	s.write(string(format))
	switch format.Trigger() {
	case TriggerHTTP:
		s.httpEvent(v)
	case TriggerSQS:
		s.set(v.At("Records"), func(s *shaper, record jsonval.Value) {
			s.write("body")
			s.text(record.At("body").Text)
			s.write("attributes")
			s.value(record.At("messageAttributes"))
			if has(record.At("attributes"), "MessageGroupId") {
				s.write("fifo")
			}
		})
	case TriggerS3:
		s.set(v.At("Records"), func(s *shaper, record jsonval.Value) {
			s.write(record.At("eventName").Text)
			if has(record.At("s3", "object"), "versionId") {
				s.write("versioned")
			}
		})
	default:
		s.value(v)
	}
}

func (s *shaper) httpEvent(v jsonval.Value) {
	method := v.At("httpMethod").Text
	if method == "" {
		method = v.At("requestContext", "http", "method").Text
	}
	route := v.At("routeKey").Text
	if route == "" {
		route = v.At("resource").Text
	}
	s.write(method, " ", route)
	for _, field := range []string{"queryStringParameters", "multiValueQueryStringParameters", "pathParameters"} {
		s.names(field, v.At(field))
	}
	for _, name := range []string{"content-type", "accept"} {
		s.write(name, mediaType(header(v, name)), ";")
	}
	body := v.At("body").Text
	if v.At("isBase64Encoded").Text == "true" {
		decoded, err := base64.StdEncoding.DecodeString(body)
		if err == nil {
			body = string(decoded)
		}
	}
	s.write("body")
	s.text(body)
}

// header finds an HTTP event's header, whatever the case of its name, in either of the places where it can be.
func header(event jsonval.Value, name string) string {
	for _, field := range []string{"headers", "multiValueHeaders"} {
		headers := event.At(field)
		for i, n := range headers.Names {
			if !strings.EqualFold(n, name) {
				continue
			}
			if v := headers.Elems[i]; v.Kind == jsonval.Array && len(v.Elems) > 0 {
				return v.Elems[0].Text
			}
			return headers.Elems[i].Text
		}
	}
	return ""
}

func mediaType(header string) string {
	if header == "application/json" { // which most are, and need not be taken apart
		return header
	}
	media, _, err := mime.ParseMediaType(header)
	if err != nil {
		return "?"
	}
	return media
}

// text describes content: by its structure where it holds a JSON object or list.
func (s *shaper) text(content string) {
	if content == "" {
		s.write("empty")
		return
	}
	if mayBeJSON("", []byte(content)) {
		if v, err := jsonval.Parse([]byte(content)); err == nil {
			s.value(v)
			return
		}
	}
	s.write("text")
}

func (s *shaper) names(field string, v jsonval.Value) {
	names := slices.Clone(v.Names)
	slices.Sort(names)
	s.write(field, "(", strings.Join(names, ","), ")")
}

func (s *shaper) value(v jsonval.Value) {
	switch v.Kind {
	case jsonval.Array:
		s.set(v, (*shaper).value)
	case jsonval.Object:
		var space [16]int
		order := space[:0]
		for i := range v.Names {
			order = append(order, i)
		}
		slices.SortFunc(order, func(i, j int) int { return strings.Compare(v.Names[i], v.Names[j]) })
		s.write("{")
		for _, i := range order {
			s.write(v.Names[i], ":")
			s.value(v.Elems[i])
			s.write(",")
		}
		s.write("}")
	default:
		s.write(v.Kind.String())
	}
}

// set describes a list as the set of what its elements look like.
func (s *shaper) set(list jsonval.Value, describe func(*shaper, jsonval.Value)) {
	seen := make(map[string]bool)
	for _, e := range list.Elems {
		var one shaper
		describe(&one, e)
		seen[string(one.out)] = true
	}
	shapes := make([]string, 0, len(seen))
	for shape := range seen {
		shapes = append(shapes, shape)
	}
	slices.Sort(shapes)
	s.write("[", strings.Join(shapes, "|"), "]")
}
