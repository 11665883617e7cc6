package cloudwatch

import (
	"bytes"
	"encoding/json"
	"strings"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// A topic is something that a line may hold.
type topic byte

const (
	topicEvent topic = 1 << iota
	topicAnswer
	topicError
	topicOpen // maybe the first line of an indented document, or of one that was cut for its length
)

// longText is a length below which nothing is cut, as Lambda cuts at 256 KB:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
const longText = 64 << 10

// eventWords are names of which every event that [capture.Detect] knows has one.
var eventWords = []string{
	"Records", "requestContext", "detail-type", "awslogs", "deliveryStreamArn", "triggerSource", "CodePipeline.job",
	"eventSource", "s3:TestEvent",
}

// topicsOf says what a line may hold, which for most lines is nothing. It is quick, and it never misses anything that
// findEvent, findAnswer or findError finds.
func topicsOf(text string) (t topic) {
	if strings.HasPrefix(text, "[ERROR] ") {
		t |= topicError
	}
	if strings.IndexByte(text, '{') < 0 {
		return t
	}
	for _, word := range eventWords {
		if strings.Contains(text, word) {
			t |= topicEvent
			break
		}
	}
	if strings.Contains(text, "statusCode") || strings.Contains(text, "batchItemFailures") {
		t |= topicAnswer
	}
	if strings.Contains(text, "errorType") {
		t |= topicError
	}
	if len(text) > longText || strings.HasSuffix(strings.TrimRight(text, " \t\r\n"), "{") {
		t |= topicOpen
	}
	return t
}

const (
	maxNesting = 12 // how deep below the outermost object, and in how many layers of escaped text, is looked
	maxStarts  = 64 // how many opening braces of a line that turn out not to open an object are tried
)

// findEvent finds the first event in a line, the outermost if one is in another. The result is the bytes that were
// logged, without their escapes where the event was logged as a string. open is where an object or a list begins
// that the line does not end, -1 for none.
func findEvent(text []byte) (event []byte, open int) {
	found, open := find(text, maxNesting, isEvent)
	return found, open
}

func isEvent(object []byte) bool {
	_, format := capture.Detect(object)
	return format != capture.FormatOther
}

// findAnswer finds the first object in a line that is an answer to an event of that trigger.
func findAnswer(text []byte, trigger capture.Trigger) []byte {
	found, _ := find(text, maxNesting, func(object []byte) bool { return isAnswer(object, trigger) })
	return found
}

func isAnswer(object []byte, trigger capture.Trigger) bool {
	v, err := jsonval.Parse(object)
	if err != nil {
		return false
	}
	if trigger == capture.TriggerSQS {
		return v.At("batchItemFailures").Kind == jsonval.Array
	}
	if v.At("statusCode").Kind != jsonval.Number {
		return false
	}
	for _, name := range []string{"body", "headers", "multiValueHeaders", "cookies", "isBase64Encoded"} {
		if _, ok := v.Get(name); ok {
			return true
		}
	}
	return false
}

// A failure is an error as a runtime or the platform logged it.
type failure struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// findError finds the error of an invocation in a line. certain is set when the line is of the form in which runtimes
// log what a function failed with; a function may log the same document for an error that it dealt with.
func findError(text []byte) (f failure, certain, ok bool) {
	if rest, isPython := bytes.CutPrefix(text, []byte("[ERROR] ")); isPython {
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		line, _, _ = bytes.Cut(line, []byte("\r"))
		name, message, ok := strings.Cut(string(line), ": ")
		return failure{Type: name, Message: message}, ok, ok && !strings.ContainsAny(name, " \t")
	}
	found, _ := find(text, maxNesting, func(object []byte) bool {
		v, err := jsonval.Parse(object)
		return err == nil && v.At("errorType").Kind == jsonval.String && v.At("errorMessage").Kind == jsonval.String
	})
	if found == nil || json.Unmarshal(found, &f) != nil {
		return failure{}, false, false
	}
	head := text[:min(len(text), 256)]
	certain = bytes.Contains(head, []byte("\tInvoke Error ")) || bytes.Contains(head, []byte("\tUncaught Exception "))
	return f, certain, true
}

// find returns the first JSON object in text that matches, outer before inner.
func find(text []byte, nesting int, match func([]byte) bool) (found []byte, open int) {
	starts := 0
	for i := 0; i < len(text); {
		next := bytes.IndexByte(text[i:], '{')
		if next < 0 {
			break
		}
		i += next
		if !mayOpen(text[i:]) {
			i++
			continue
		}
		var s scanner
		n, done := s.scan(text[i:])
		switch {
		case !done:
			return nil, i
		case json.Valid(text[i : i+n]):
			if found := findWithin(text[i:i+n], nesting, match); found != nil {
				return found, -1
			}
			i += n
		default:
			if starts++; starts == maxStarts {
				return nil, -1
			}
			i++
		}
	}
	return nil, -1
}

// mayOpen reports whether text, which begins with a brace, may begin an object: a name or the end has to follow. What
// JavaScript prints of an object is no JSON, and looks different here already.
func mayOpen(text []byte) bool {
	rest := bytes.TrimLeft(text[1:min(len(text), 65)], " \t\r\n")
	return len(rest) == 0 || rest[0] == '"' || rest[0] == '}'
}

// findWithin looks at a JSON object and at what is in it.
func findWithin(object []byte, nesting int, match func([]byte) bool) []byte {
	if match(object) {
		return object
	}
	if nesting == 0 {
		return nil
	}
	for i := 1; i < len(object); {
		switch object[i] {
		case '{':
			var s scanner
			n, _ := s.scan(object[i:])
			if found := findWithin(object[i:i+n], nesting-1, match); found != nil {
				return found
			}
			i += n
		case '"':
			n := stringLen(object[i:])
			if found := findInString(object[i:i+n], nesting-1, match); found != nil {
				return found
			}
			i += n
		default:
			i++
		}
	}
	return nil
}

// findInString looks for JSON in the contents of a JSON string.
func findInString(quoted []byte, nesting int, match func([]byte) bool) []byte {
	if bytes.IndexByte(quoted, '{') < 0 || !bytes.Contains(quoted, []byte(`\"`)) {
		return nil
	}
	content, err := jsonval.Parse(quoted)
	if err != nil {
		return nil
	}
	found, _ := find([]byte(content.Text), nesting, match)
	return found
}

// stringLen returns the length of the JSON string that text begins with, quotes included.
func stringLen(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// A scanner finds the end of a JSON object or list that comes in pieces. It looks at brackets and strings only.
type scanner struct {
	depth             int
	inString, escaped bool
}

// scan goes on with the next piece. n is how much of it belongs to the object, all of it unless done.
func (s *scanner) scan(piece []byte) (n int, done bool) {
	for i, c := range piece {
		switch {
		case s.escaped:
			s.escaped = false
		case s.inString:
			s.escaped = c == '\\'
			s.inString = c != '"'
		case c == '"':
			s.inString = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			if s.depth--; s.depth <= 0 {
				return i + 1, true
			}
		}
	}
	return len(piece), false
}

// findPattern applies the user's pattern. The groups event and response hold JSON, or the contents of a JSON string
// that holds JSON. open is where a document begins in the event group that the text does not end, -1 for none.
func (p *pattern) find(text []byte) (event, response []byte, broken bool, open int) {
	m := p.re.FindSubmatchIndex(text)
	if m == nil {
		return nil, nil, false, -1
	}
	if p.response >= 0 && m[2*p.response] >= 0 {
		response = jsonIn(text[m[2*p.response]:m[2*p.response+1]])
	}
	if m[2*p.event] < 0 {
		return nil, response, false, -1
	}
	start, end := m[2*p.event], m[2*p.event+1]
	if event = jsonIn(text[start:end]); event != nil {
		return event, response, false, -1
	}
	group := bytes.TrimRight(text[start:end], " \t\r\n")
	if len(group) > 0 && (group[0] == '{' || group[0] == '[') && len(bytes.TrimSpace(text[end:])) == 0 {
		var s scanner
		if _, done := s.scan(group); !done {
			return nil, response, false, start
		}
	}
	return nil, response, true, -1
}

// jsonIn returns text if it is JSON, or the JSON that is left when one layer of escapes is removed from it.
func jsonIn(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '"' || !json.Valid(text) {
		quoted := text
		if len(text) == 0 || text[0] != '"' {
			quoted = append(append([]byte{'"'}, text...), '"')
		}
		if content, err := jsonval.Parse(quoted); err == nil && json.Valid([]byte(content.Text)) {
			return []byte(content.Text)
		}
	}
	if !json.Valid(text) {
		return nil
	}
	return text
}
