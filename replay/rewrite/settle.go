package rewrite

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"tandem/capture/jsonval"
	"tandem/capture/redact"
)

// A bodySum is a header that says something of the body.
type bodySum struct {
	header string
	of     []func(body []byte) string
	listed bool // the header has more in it than what is of the body
}

// Sources: RFC 9110 for content-length, RFC 1864 for content-md5, RFC 3230 for digest, RFC 9530 for content-digest
// and repr-digest.
var bodySums = []bodySum{
	{"content-length", []func([]byte) string{func(body []byte) string { return strconv.Itoa(len(body)) }}, false},
	{"content-md5", []func([]byte) string{md5Of}, false},
	{"digest", []func([]byte) string{sha256Of, sha512Of}, true},
	{"content-digest", []func([]byte) string{sha256Of, sha512Of}, true},
	{"repr-digest", []func([]byte) string{sha256Of, sha512Of}, true},
}

// again returns what a header says of the body after, where it was right for the one before.
func (s *bodySum) again(text string, before, after []byte) string {
	for _, of := range s.of {
		if old := of(before); s.listed || text == old {
			text = strings.ReplaceAll(text, old, of(after))
		}
	}
	return text
}

func inBase64(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

func md5Of(body []byte) string    { sum := md5.Sum(body); return inBase64(sum[:]) }
func sha256Of(body []byte) string { sum := sha256.Sum256(body); return inBase64(sum[:]) }
func sha512Of(body []byte) string { sum := sha512.Sum512(body); return inBase64(sum[:]) }

// settle returns a rewritten event in which lengths and hashes that were right in the recorded one are right again.
// All others stay.
func settle(recorded, rewritten []byte) []byte {
	was, err := jsonval.Parse(recorded)
	if err != nil {
		return rewritten
	}
	is, err := jsonval.Parse(rewritten)
	if err != nil {
		return rewritten
	}
	var rs rules
	settleBody(&rs, was, is)
	settleMessages(&rs, was.At("Records").Elems, is.At("Records").Elems)
	return rs.apply(rewritten, nil)
}

func settleBody(rs *rules, was, is jsonval.Value) {
	before, ok := bodyOf(was)
	after, still := bodyOf(is)
	if !ok || !still || bytes.Equal(before, after) {
		return
	}
	for _, sum := range bodySums {
		text := func(text []byte) ([]jsonval.Edit, verdict) {
			return whole(text, sum.again(string(text), before, after)), took
		}
		rs.add(rule{source: noSource, patterns: headerPatterns(sum.header), text: text})
	}
}

// bodyOf returns the body of an HTTP event as a function sees it, empty where there is none. ok is false when it is
// no text, or is not the base64 that the event says it is.
func bodyOf(event jsonval.Value) (body []byte, ok bool) {
	v := event.At("body")
	switch {
	case v.Kind != jsonval.String && v.Kind != jsonval.Null:
		return nil, false
	case event.At("isBase64Encoded").Text != "true":
		return []byte(v.Text), true
	}
	body, err := base64.StdEncoding.DecodeString(v.Text)
	return body, err == nil
}

// settleMessages is for the messages of a queue.
func settleMessages(rs *rules, was, is []jsonval.Value) {
	for i := range min(len(was), len(is)) {
		settleMessage(rs, i, "md5OfBody", md5OfText(was[i].At("body")), md5OfText(is[i].At("body")))
		settleMessage(rs, i, "md5OfMessageAttributes", md5OfAttributes(was[i]), md5OfAttributes(is[i]))
	}
}

func settleMessage(rs *rules, record int, name, before, after string) {
	if before == after || before == "" || after == "" {
		return
	}
	at := pattern{segments: []string{"Records", strconv.Itoa(record), name}}
	rs.add(rule{source: noSource, patterns: []pattern{at}, text: func(text []byte) ([]jsonval.Edit, verdict) {
		if string(text) != before {
			return nil, passed
		}
		return whole(text, after), took
	}})
}

// md5OfText returns "" for what is no string.
func md5OfText(v jsonval.Value) string {
	if v.Kind != jsonval.String {
		return ""
	}
	sum := md5.Sum([]byte(v.Text))
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes returns "" for what has none.
func md5OfAttributes(record jsonval.Value) string {
	attributes := record.At("messageAttributes")
	if attributes.Kind != jsonval.Object {
		return ""
	}
	return redact.MD5OfAttributes(attributes.AppendJSON(nil))
}
