package rewrite

import (
	"bytes"
	"encoding/base64"

	"tandem/capture/jsonval"
)

// base64Patterns are where events have texts in base64, whatever is in them. Sources: the pages of the services below
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html.
var base64Patterns = []pattern{
	{segments: []string{"Records", "*", "kinesis", "data"}},
	{segments: []string{"records", "*", "data"}}, // Firehose
	{segments: []string{"records", "*", "*", "key"}},
	{segments: []string{"records", "*", "*", "value"}}, // Kafka, by topic and partition
	{segments: []string{"messages", "*", "data"}},      // Amazon MQ for ActiveMQ
}

var base64Body = pattern{segments: []string{"body"}}

// base64Places returns the positions of what is in base64 in an event.
func base64Places(event []byte) []position {
	places := make([]position, 0, len(base64Patterns)+1)
	for i := range base64Patterns {
		places = append(places, position{rule: isBase64, pattern: &base64Patterns[i]})
	}
	if bytes.Contains(event, []byte("isBase64Encoded")) {
		if value, ok := member(event, "isBase64Encoded"); ok && string(value) == "true" {
			places = append(places, position{rule: isBase64, pattern: &base64Body})
		}
	}
	return places
}

// member returns the last value that a document, which is valid JSON, has for a member of this name.
func member(doc []byte, name string) (value []byte, ok bool) {
	w := walker{src: doc}
	w.space()
	if w.src[w.i] != '{' {
		return nil, false
	}
	w.members(func(raw []byte) {
		start := w.i
		w.value(nil)
		if string(jsonval.Escaped.Decode(raw)) == name {
			value, ok = w.src[start:w.i], true
		}
	})
	return value, ok
}

// inBase64 returns the edits of a text that is in base64: one for all of it, or none when its content stays. Encoded is
// false for all other texts, and for base64 that would not be the same when it is written again.
func (w *walker) inBase64(text []byte, at []position) (edits []jsonval.Edit, encoded bool) {
	for _, p := range at {
		encoded = encoded || p.rule == isBase64 && p.next == len(p.pattern.segments)
	}
	if !encoded {
		return nil, false
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding,
		base64.RawURLEncoding} {
		content, err := enc.DecodeString(string(text))
		if err != nil || enc.EncodeToString(content) != string(text) {
			continue
		}
		changed := jsonval.Splice(content, 0, w.plain(content, at))
		return whole(text, enc.EncodeToString(changed)), true
	}
	return nil, false
}
