package capture

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"tandem/capture/jsonval"
)

// space is what JSON takes as white space.
const space = " \t\r\n"

// parseLine reads a line as this package writes it, in a fifth of the time that encoding/json takes. ok is false for
// one that it leaves to encoding/json: with other members, one twice, escapes in short texts, or a mistake. What it
// returns has its event in line's memory.
func parseLine(line []byte) (l invocationLine, ok bool) {
	if !utf8.Valid(line) {
		return l, false
	}
	rest := bytes.TrimSpace(line)
	if len(rest) == 0 || rest[0] != '{' {
		return l, false
	}
	var seen members
	for after := byte('{'); after != '}'; {
		rest = trimSpace(rest[1:]) // behind after
		key, value, plain := cutString(rest)
		if value = trimSpace(value); !plain || len(value) == 0 || value[0] != ':' {
			return l, false
		}
		value = trimSpace(value[1:])
		size, valid := jsonval.End(value)
		if !valid || !l.set(key, value[:size], &seen) {
			return l, false
		}
		rest = trimSpace(value[size:])
		if len(rest) == 0 || rest[0] != ',' && rest[0] != '}' {
			return l, false
		}
		after = rest[0]
	}
	return l, len(rest) == 1
}

func trimSpace(doc []byte) []byte {
	if len(doc) > 0 && doc[0] > ' ' {
		return doc
	}
	return bytes.TrimLeft(doc, space)
}

// members says which members of a line were met.
type members struct{ id, function, trigger, format, source, time, event, context, outcome, objects bool }

// set gives a member its value, which is valid JSON.
func (l *invocationLine) set(key, value []byte, seen *members) bool {
	var text *string
	var met *bool
	switch string(key) {
	case "id":
		text, met = &l.ID, &seen.id
	case "function":
		text, met = &l.Function, &seen.function
	case "trigger":
		text, met = (*string)(&l.Trigger), &seen.trigger
	case "format":
		text, met = (*string)(&l.Format), &seen.format
	case "source":
		text, met = &l.Source, &seen.source
	case "time":
		met = &seen.time
	case "event":
		met = &seen.event
	case "context":
		met = &seen.context
	case "outcome":
		met = &seen.outcome
	case "objects":
		met = &seen.objects
	}
	if met == nil || *met {
		return false
	}
	*met = true
	if text != nil {
		content, _, plain := cutString(value)
		*text = string(content)
		return plain
	}
	switch met {
	case &seen.time:
		return value[0] == '"' && l.Time.UnmarshalJSON(value) == nil
	case &seen.context:
		return string(value) == "{}" || unmarshal(value, &l.Context)
	case &seen.outcome:
		return unmarshal(value, &l.Outcome)
	case &seen.objects:
		return unmarshal(value, &l.Objects)
	}
	l.Event = value
	return true
}

// unmarshal leaves a value to encoding/json, in memory of its own, so that a line without it need not be on the heap.
func unmarshal[T any](value []byte, to *T) bool {
	v := new(T)
	err := json.Unmarshal(value, v)
	*to = *v
	return err == nil
}

// cutString reads the string that doc begins with. Plain is false when it begins with something else, or has escapes
// or control characters.
func cutString(doc []byte) (s, rest []byte, plain bool) {
	if len(doc) == 0 || doc[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(doc); i++ {
		switch c := doc[i]; {
		case c == '"':
			return doc[1:i], doc[i+1:], true
		case c == '\\' || c < ' ':
			return nil, nil, false
		}
	}
	return nil, nil, false
}
