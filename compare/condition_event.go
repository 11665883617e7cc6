package compare

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"tandem/capture"
	"tandem/capture/jsonval"
)

const (
	maxEventNodes = 4000    // values of one event that are looked at
	maxEventDepth = 32      // and how deep they are
	maxInsideText = 1 << 20 // bytes of a text that is looked into for JSON
)

// eventView is an event as conditions speak of it: what a function branches on has the same names in all formats, and
// what is new in every event is left out.
func eventView(inv *capture.Invocation) (jsonval.Value, error) {
	event, err := inv.Value()
	if err != nil {
		return event, err
	}
	trigger, format := inv.Trigger, inv.Format
	if trigger == "" || format == "" {
		trigger, format = capture.Detect(inv.Event)
	}
	var view jsonval.Value
	switch trigger {
	case capture.TriggerHTTP:
		view = requestView(event)
	case capture.TriggerSQS:
		view = recordsView(event, "body", "attributes", "messageAttributes")
	case capture.TriggerS3:
		view = recordsView(event, "eventName", "s3")
	default:
		return event, nil
	}
	view.Add("format", jsonval.Text(string(format)))
	return view, nil
}

// requestView has the parts of a request, as API Gateway, load balancers and function URLs write it.
func requestView(event jsonval.Value) jsonval.Value {
	view := jsonval.Value{Kind: jsonval.Object}
	request := event.At("requestContext", "http")
	method, path := event.At("httpMethod").Text, event.At("path").Text
	if method == "" {
		method, path = request.At("method").Text, event.At("rawPath").Text
	}
	view.Add("method", jsonval.Text(method))
	view.Add("path", jsonval.Text(pathPattern(path)))
	headers := lowerNames(event.At("headers"), event.At("multiValueHeaders"))
	view.Add("cookies", cookiesOf(event, headers))
	view.Add("headers", without(&headers, func(i int) bool { return headers.Names[i] == "cookie" }))
	view.Add("query", queryOf(event))
	for _, name := range []string{"pathParameters", "stageVariables"} {
		view.Add(name, event.At(name))
	}
	view.Add("authorizer", event.At("requestContext", "authorizer"))
	body, there := event.Get("body")
	if event.At("isBase64Encoded").Text == "true" {
		if decoded, err := base64.StdEncoding.DecodeString(body.Text); err == nil {
			body = jsonval.Text(string(decoded))
		}
	}
	if there {
		view.Add("body", body)
	}
	return view
}

// pathPattern writes * for what has digits, which is hardly ever a name that the application knows.
func pathPattern(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.ContainsAny(s, "0123456789") {
			segments[i] = "*"
		}
	}
	return strings.Join(segments, "/")
}

func lowerNames(objects ...jsonval.Value) jsonval.Value {
	all := jsonval.Value{Kind: jsonval.Object}
	for _, o := range objects {
		for i, name := range o.Names {
			name = strings.ToLower(name)
			if _, twice := all.Get(name); !twice {
				all.Add(name, single(o.Elems[i]))
			}
		}
	}
	return all
}

// single is the only value of a list of one.
func single(v jsonval.Value) jsonval.Value {
	if v.Kind == jsonval.Array && len(v.Elems) == 1 {
		return v.Elems[0]
	}
	return v
}

func cookiesOf(event, headers jsonval.Value) jsonval.Value {
	cookies := jsonval.Value{Kind: jsonval.Object}
	lines := []string{headers.At("cookie").Text}
	for _, c := range event.At("cookies").Elems {
		lines = append(lines, c.Text)
	}
	for _, pair := range strings.Split(strings.Join(lines, ";"), ";") {
		if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			cookies.Add(name, jsonval.Text(value))
		}
	}
	return cookies
}

func queryOf(event jsonval.Value) jsonval.Value {
	query := jsonval.Value{Kind: jsonval.Object}
	for _, o := range []jsonval.Value{event.At("multiValueQueryStringParameters"), event.At("queryStringParameters")} {
		for i, name := range o.Names {
			if _, twice := query.Get(name); !twice {
				query.Add(name, single(o.Elems[i]))
			}
		}
	}
	if raw := event.At("rawQueryString").Text; raw != "" && len(query.Names) == 0 {
		values, _ := url.ParseQuery(raw)
		for _, name := range sortedKeys(values) {
			query.Add(name, jsonval.Text(values[name][0]))
		}
	}
	return query
}

// recordsView has these members of each record.
func recordsView(event jsonval.Value, names ...string) jsonval.Value {
	records := jsonval.Value{Kind: jsonval.Array}
	for _, r := range event.At("Records").Elems {
		kept := jsonval.Value{Kind: jsonval.Object}
		for _, name := range names {
			if v, ok := r.Get(name); ok {
				kept.Add(name, v)
			}
		}
		records.Elems = append(records.Elems, kept)
	}
	view := jsonval.Value{Kind: jsonval.Object}
	view.Add("records", records)
	return view
}

// eventWalk visits the values of an event, JSON inside texts among them, with their paths as people write them:
// body.items[].price.
type eventWalk struct {
	visit func(path string, v jsonval.Value)
	nodes int
	cut   bool // there was too much to visit
}

func (w *eventWalk) walk(path string, depth int, v jsonval.Value) {
	w.nodes++
	if w.nodes > maxEventNodes || depth > maxEventDepth {
		w.cut = true
		return
	}
	if v.Kind == jsonval.String {
		if inside, ok := insideText(v.Text); ok {
			v = inside
		}
	}
	if path != "" {
		w.visit(path, v)
	}
	for i, e := range v.Elems {
		below := path + "[]"
		if v.Kind == jsonval.Object {
			below = memberPath(path, v.Names[i])
		}
		w.walk(below, depth+1, e)
	}
}

// insideText returns the object or the list that a text holds, in JSON or in base64 of JSON.
func insideText(s string) (jsonval.Value, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || len(s) > maxInsideText {
		return jsonval.Value{}, false
	}
	if strings.HasPrefix(s, "ey") || strings.HasPrefix(s, "W") { // base64 of {" and of [
		if decoded, err := base64.StdEncoding.DecodeString(s); err == nil {
			s = strings.TrimSpace(string(decoded))
		}
	}
	if s == "" || s[0] != '{' && s[0] != '[' {
		return jsonval.Value{}, false
	}
	v, err := jsonval.Parse([]byte(s))
	return v, err == nil
}

func memberPath(path, name string) string {
	switch {
	case isID(name) || digits(name):
		name = "*"
	case name == "" || strings.ContainsAny(name, ".[]\" *") || len(name) > maxConstant:
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
