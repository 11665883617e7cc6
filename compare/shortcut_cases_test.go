package compare

import (
	"strings"
	"testing"
)

// Each of these pairs is compared in both ways: whatever the shortcut takes has to be what the obvious way says.
func TestTheShortcutLeavesWhatIsNotPlainToTheObviousWay(t *testing.T) {
	answered := func(headers, rest string) string {
		return `{"status":"ok","http":{"status":200,"headers":{` + headers + `}` + rest + `}}`
	}
	withID := func(headers, rest, id string) string {
		return answered(headers, `,"body":{"json":{"id":"`+id+`"}}`+rest)
	}
	written := func(key, id, otherKey, otherID string) string {
		return `{"status":"ok","effects":[{"kind":"object.put","resource":"r","key":"` + key + `","body":{"json":{"e":"` + id + `"}}},` +
			`{"kind":"object.put","resource":"r","key":"` + otherKey + `","body":{"json":{"e":"` + otherID + `"}}}]}`
	}
	withOther := func(id, other string) string {
		return answered(``, `,"body":{"json":{"id":"`+id+`","a":"`+other+`"}}`)
	}
	alias := Rule{At: "/body/id", Treat: Alias}
	lines := `,"body":{"text":"{\"a\":1}\n{\"b\":2}"}`
	for _, tt := range []struct {
		name, reason string
		rules        []Rule
		b, c         string
	}{
		{"a content type of one side alone", "lines of JSON are text where they are said to be", []Rule{{At: "/http/headers/*", Treat: Ignore}},
			answered(`"content-type":["text/plain"]`, lines), answered(``, lines)},
		{"a header in upper case of one side alone", "rules know it in lower case", []Rule{{At: "/http/headers/X-*", Treat: Ignore}},
			answered(``, ``), answered(`"X-A":["1"]`, ``)},
		{"a coding in upper case", "it is one, too", []Rule{{At: "/http/headers/*", Treat: Ignore}},
			answered(``, `,"body":{"json":{"a":1}}`), answered(`"Content-Encoding":["gzip"]`, `,"body":{"json":{"a":1}}`)},
		{"a header without values", "it is none", []Rule{{At: "/http/headers/*", Treat: Ignore}}, answered(``, ``), answered(`"x":[]`, ``)},
		{"a header that is null", "it is none", []Rule{{At: "/http/headers/*", Treat: Ignore}}, answered(`"x":null`, ``), answered(``, ``)},
		{"a header that is a number", "the line is no trial", []Rule{{At: "/http/headers/*", Treat: Ignore}}, answered(``, ``), answered(`"x":1`, ``)},
		{"headers of numbers", "the line is no trial", []Rule{{At: "/http/headers/*", Treat: Ignore}}, answered(`"x":[1]`, ``), answered(``, ``)},
		{"a fate that is a number", "the line is no trial", []Rule{{At: "/records/*", Treat: Ignore}},
			`{"status":"ok","records":{"a":"acked"}}`, `{"status":"ok","records":{"a":"acked","b":1}}`},
		{"an attribute that is a number", "the line is no trial", []Rule{{At: "/effects/*/attributes/*", Treat: Ignore}},
			`{"status":"ok","effects":[{"kind":"object.put","resource":"r","key":"k","attributes":{"a":"b"}}]}`,
			`{"status":"ok","effects":[{"kind":"object.put","resource":"r","key":"k","attributes":{"a":"b","c":1}}]}`},
		{"fates of one side alone", "fates are missing, whatever they are", []Rule{{At: "/records/*", Treat: Ignore}},
			`{"status":"ok","records":{"m":"retried"}}`, `{"status":"ok"}`},
		{"fates of the candidate alone", "fates are extra, whatever they are", []Rule{{At: "/records/*", Treat: Ignore}},
			`{"status":"ok","records":{}}`, `{"status":"ok","records":{"m":"retried"}}`},
		{"a header twice", "the last one counts", nil, answered(`"x":["1"],"x":["2"]`, ``), answered(`"x":["1"],"x":["2"]`, ``)},
		{"headers in no order", "they are paired by name", []Rule{{At: "/http/headers/*", Treat: Alias}},
			answered(`"y":["1"],"x":["2"]`, ``), answered(`"y":["1"],"x":["2"]`, ``)},
		{"attributes of one side alone", "they are missing, whatever they are", []Rule{{At: "/effects/*/attributes/*", Treat: Ignore}},
			`{"status":"ok","effects":[{"kind":"object.put","resource":"r","key":"k","attributes":{"a":"b"}}]}`,
			`{"status":"ok","effects":[{"kind":"object.put","resource":"r","key":"k"}]}`},
		{"no fates, with white space", "there is a status then", []Rule{{At: "/status", Treat: Type}},
			`{"status":"ok","records":{ }}`, `{"status":"ok","records":{ }}`},
		{"no effects, all ignored", "the rule was asked", []Rule{{At: "/effects", Treat: Ignore}},
			`{"status":"ok","effects":[]}`, `{"status":"ok","effects":[]}`},
		{"an ID in the name of an ignored header", "both have the header, by its alias", []Rule{alias, {At: "/http/headers/x-*", Treat: Ignore}},
			withID(`"x-ord_aaaa1":["1"]`, ``, "ord_aaaa1"), withID(`"x-new_bbbb1":["1"]`, ``, "new_bbbb1")},
		{"a rule for indexes that begin alike", "indexes are not in the text", []Rule{{At: "/body/l/1*", Treat: Alias}},
			answered(``, `,"body":{"json":{"l":["a","b"]}}`), answered(``, `,"body":{"json":{"l":["a","b"]}}`)},
		{"a rule for indexes of a list", "it is ignored", []Rule{{At: "/body/1*", Treat: Ignore}},
			answered(``, `,"body":{"json":["a","b"]}`), answered(``, `,"body":{"json":["a","b"]}`)},
		{"a rule for names that begin alike", "what they begin with is no name", []Rule{{At: "/body/x/ab*", Treat: Ignore}},
			answered(``, `,"body":{"json":{"x":{"abcdef":1}}}`), answered(``, `,"body":{"json":{"x":{"abcdef":1}}}`)},
		{"one key in two ways", "they are one stream, in which effects have changed places", []Rule{{At: "/effects/*/body/e", Treat: Alias}},
			written(`a`, "ord_AAAA1", `\u0061`, "ord_AAAA2"), written(`a`, "ord_AAAA2", `\u0061`, "ord_AAAA1")},
		{"no key and an empty one", "likewise", []Rule{{At: "/effects/*/body/e", Treat: Alias}},
			strings.Replace(written(``, "ord_AAAA1", ``, "ord_AAAA2"), `"key":"",`, ``, 1), written(``, "ord_AAAA2", ``, "ord_AAAA1")},
		{"a name spelled by number", "the rule is for it", []Rule{{At: "/body/x/id", Treat: Ignore}},
			answered(``, `,"body":{"json":{"x":{"\u0069d":1}}}`), answered(``, `,"body":{"json":{"x":{"\u0069d":1}}}`)},
		{"IDs within a list without order and behind it", "those outside are found first", []Rule{{At: "/**/id", Treat: Alias}, {At: "/body/l", Treat: Unordered}},
			answered(``, `,"body":{"json":{"l":[{"id":"a"}],"id":"b"}}`), answered(``, `,"body":{"json":{"l":[{"id":"a"}],"id":"b"}}`)},
		{"an ID spelled by number", "it is the same ID", []Rule{alias}, withOther("ord_AAAA1", `new_BBBB\u0031`), withOther("new_BBBB1", `new_BBBB\u0031`)},
		{"the baseline's ID spelled by number", "it means something else in the candidate", []Rule{alias}, withOther("ord_AAAA1", `ord_AAAA\u0031`), withOther("new_BBBB1", `ord_AAAA\u0031`)},
		{"an ID with slashes", "they may be escaped", []Rule{alias}, withOther("ord_AAAA1", `n\/b\/b\/b`), withOther("n/b/b/b", `n\/b\/b\/b`)},
		{"an ID that is not ASCII", "it may be escaped", []Rule{alias}, withOther("ord_AAAA1", `n\u00e9u_11`), withOther("néu_11", `n\u00e9u_11`)},
		{"an ID in what is equal", "it stands for something else on each side", []Rule{alias}, withOther("ord_AAAA1", `new_BBBB1`), withOther("new_BBBB1", `new_BBBB1`)},
		{"an ID in an ignored value", "it is ignored", []Rule{alias, {At: "/body/a", Treat: Ignore}}, withOther("ord_AAAA1", `x`), withOther("new_BBBB1", `new_BBBB1`)},
		{"an ID that a header's form spells", "the header is rewritten in its one form", []Rule{alias},
			withID(`"vary":["NEW_BBBB1"]`, ``, "ord_aaaa1"), withID(`"vary":["NEW_BBBB1"]`, ``, "new_bbbb1")},
		{"an ID that a cookie's form spells", "likewise", []Rule{alias},
			withID(``, `,"cookies":[{"name":"a","value":"1","attributes":{"domain":"NEW_BBBB1"}}]`, "ord_aaaa1"),
			withID(``, `,"cookies":[{"name":"a","value":"1","attributes":{"domain":"NEW_BBBB1"}}]`, "new_bbbb1")},
		{"an ID that a media type's form spells", "likewise", []Rule{alias},
			withID(`"content-type":["application/json; charset=NEW_BBBB1"]`, ``, "ord_aaaa1"),
			withID(`"content-type":["application/json; charset=NEW_BBBB1"]`, ``, "new_bbbb1")},
		{"an ID that an attribute's form spells", "likewise", []Rule{alias},
			strings.TrimSuffix(withID(``, ``, "ord_aaaa1"), "}") + `,"effects":[{"kind":"object.put","resource":"r","key":"k","attributes":{"content-type":"text/plain; charset=NEW_BBBB1"}}]}`,
			strings.TrimSuffix(withID(``, ``, "new_bbbb1"), "}") + `,"effects":[{"kind":"object.put","resource":"r","key":"k","attributes":{"content-type":"text/plain; charset=NEW_BBBB1"}}]}`},
		{"JSON that looks like a body of parts", "its boundary is left out of one side's type", []Rule{{At: "/body", Treat: Ignore}},
			answered(`"content-type":["multipart/mixed; boundary=x"]`, `,"body":{"json":{"parts":1}}`),
			answered(`"content-type":["multipart/mixed; boundary=x"]`, `,"body":{"json":{"other":1}}`)},
		{"surrogates alone in a header", "encoding/json replaces them", []Rule{{At: "/http/headers/x", Treat: Pattern, Matches: "^...$"}},
			answered(`"x":["\ud800"]`, ``), answered(`"x":["\ud801"]`, ``)},
		{"a surrogate alone under an alias", "encoding/json replaces it", []Rule{{At: "/http/headers/x", Treat: Alias}},
			answered(`"x":["\ud800"]`, ``), answered(`"x":["\ud800"]`, ``)},
		{"bytes that are no UTF-8 under an alias", "encoding/json replaces them", []Rule{{At: "/records/*", Treat: Alias}},
			"{\"status\":\"ok\",\"records\":{\"m\":\"\xff\"}}", "{\"status\":\"ok\",\"records\":{\"m\":\"\xff\"}}"},
	} {
		for i := range tt.rules {
			tt.rules[i].Why = "w"
		}
		t.Run(tt.name, func(t *testing.T) {
			checkShortcutOf(t, tt.rules, []byte(line("i", "f", tt.b, tt.c)))
			checkShortcutOf(t, tt.rules, []byte(line("i", "f", tt.c, tt.b)))
		})
	}
}

// What is not compared has to be an outcome, too, or the line is no trial.
func TestTheShortcutTakesNoLineThatIsNoTrial(t *testing.T) {
	ok := `{"status":"ok","http":{"status":200,"headers":{"a":["b"]},"cookies":[{"name":"a","value":"b","attributes":{"path":"/"}}],` +
		`"body":{"json":1}},"records":{"m":"acked"},"effects":[{"kind":"object.put","resource":"r","key":"k","attributes":{"a":"b"}}]}`
	three := func(third string) []byte {
		return []byte(strings.TrimSuffix(line("i", "f", ok, ok), "}}") + `,"` + "recording" + `":` + third + "}}")
	}
	if _, taken := checkShortcutOf(t, nil, three(ok)); !taken {
		t.Error("the shortcut was not taken beside an outcome that was recorded")
	}
	for _, third := range []string{
		`{"status":"ok","error":1}`, `{"status":"ok","tries":{}}`, `{"status":"ok","records":[]}`, `{"status":"ok","records":{"a":1}}`,
		`{"status":"ok","http":{"headers":[]}}`, `{"status":"ok","http":{"headers":{"a":"b"}}}`, `{"status":"ok","http":{"headers":{"a":[1]}}}`,
		`{"status":"ok","http":{"cookies":{}}}`, `{"status":"ok","http":{"cookies":[1]}}`, `{"status":"ok","http":{"cookies":[{"name":1}]}}`,
		`{"status":"ok","http":{"cookies":[{"attributes":{"a":1}}]}}`, `{"status":"ok","result":{"base64":"!"}}`, `{"status":"ok","http":{"body":{"base64":"!"}}}`,
		`{"status":"ok","effects":[{"attributes":{"a":1}}]}`, `{"status":"ok","effects":[{"attributes":[]}]}`, `{"status":"ok","effects":[{"body":{"base64":"!"}}]}`,
	} {
		if _, taken := checkShortcutOf(t, nil, three(third)); taken {
			t.Errorf("the shortcut was taken beside %s", third)
		}
	}
}

// Messages outside of groups have no key, and most functions send some.
func TestTheShortcutKnowsMessagesWithoutAKey(t *testing.T) {
	sent := `{"status":"ok","effects":[{"kind":"message.send","resource":"q","body":{"json":{"a":1}}}]}`
	if _, taken := checkShortcutOf(t, []Rule{{At: "/effects/*/key", Treat: Ignore, Why: "w"}}, []byte(line("i", "f", sent, sent))); !taken {
		t.Error("the shortcut was not taken")
	}
}

func TestTheShortcutIsTakenForWhatMostTrialsAre(t *testing.T) {
	body := func(json string) string {
		return `{"status":"ok","http":{"status":200,"body":{"json":` + json + `}},"effects":[]}`
	}
	put := func(id string) string {
		return `{"kind":"object.put","resource":"r","key":"orders/` + id + `.json","body":{"json":{"id":"` + id + `"}},"attributes":{"content-type":"application/json"}}`
	}
	effects := func(list ...string) string { return `{"status":"ok","effects":[` + strings.Join(list, ",") + `]}` }
	headers := func(names string) string { return `{"status":"ok","http":{"status":200,"headers":{` + names + `}}}` }
	id, list := Rule{At: "/**/id", Treat: Alias}, Rule{At: "/body/l", Treat: Unordered}
	for _, tt := range []struct {
		name  string
		rules []Rule
		b, c  string
	}{
		{"equal ones", nil, body(`{"a":[1,{"b":"c"}]}`), body(`{"a":[1,{"b":"c"}]}`)},
		{"numbers and texts in other forms", nil, body(`{"a":[1,"b",-0,1e2]}`), body(`{ "a" : [1.0, "\u0062" ,0,100 ] }`)},
		{"members in another order", nil, body(`{"a":1,"b":{"c":2,"d":3},"e":4}`), body(`{"b":{"d":3,"c":2},"e":4,"a":1}`)},
		{"members of one side that are ignored", []Rule{{At: "/body/x", Treat: Ignore}}, body(`{"a":1,"x":{"y":[1,2]}}`), body(`{"a":1}`)},
		{"extra members that are ignored", []Rule{{At: "/body/**/x", Treat: Ignore}}, body(`{"b":{"a":1}}`), body(`{"b":{"a":1,"x":2},"x":3}`)},
		{"the only member is ignored", []Rule{{At: "/body/*/x", Treat: Ignore}}, body(`{"b":{}}`), body(`{"b":{"x":2}}`)},
		{"IDs", []Rule{id}, body(`{"id":"ord_AAAA1","see":"/x/ord_AAAA1"}`), body(`{"id":"new_BBBB1","see":"/x/new_BBBB1"}`)},
		{"IDs in names", []Rule{id}, body(`{"id":"ord_AAAA1","in":{"ord_AAAA1":1}}`), body(`{"id":"new_BBBB1","in":{"new_BBBB1":1}}`)},
		{"IDs that are equal", []Rule{id}, body(`{"id":"ord_AAAA1","l":{"id":"ord_AAAA1"}}`), body(`{"id":"ord_AAAA1","l":{"id":"ord_AAAA1"}}`)},
		{"short IDs", []Rule{id}, body(`{"id":"17","a":"17"}`), body(`{"id":"18","a":"17"}`)},
		{"IDs in lists without order", []Rule{id, list}, body(`{"l":[{"id":"ord_AAAA1","a":1},{"id":"ord_AAAA2","a":2}]}`),
			body(`{"l":[{"id":"new_BBBB2","a":2},{"id":"new_BBBB1","a":1}]}`)},
		{"equal IDs in lists without order", []Rule{id, list}, body(`{"l":[{"id":"ord_AAAA1"},{"id":"ord_AAAA2"}]}`),
			body(`{"l":[{"id":"ord_AAAA1"},{"id":"ord_AAAA2"}]}`)},
		{"an ID that is also in a list without order", []Rule{id, list}, body(`{"id":"ord_AAAA1","l":["ord_AAAA1","x"]}`),
			body(`{"id":"new_BBBB1","l":["x","new_BBBB1"]}`)},
		{"IDs in effects alone", []Rule{{At: "/effects/*/body/id", Treat: Alias}}, effects(`{"kind":"message.send","resource":"q","body":{"json":{"id":"ord_AAAA1"}}}`),
			effects(`{"kind":"message.send","resource":"q","body":{"json":{"id":"new_BBBB1"}}}`)},
		{"IDs in effects, in a list without order", []Rule{id, {At: "/effects/*/body/l", Treat: Unordered},
			{At: "/effects/*/body/by", Treat: Unordered, By: "z"}, {At: "/effects/*/body/l/*/z", Treat: Ignore}},
			effects(`{"kind":"message.send","resource":"q","body":{"json":{"l":[` +
				`{"code":1,"id":"ord_AAAA1","in":"/ord_AAAA1","z":1},{"code":2,"id":"ord_AAAA2","in":"/ord_AAAA2","z":2}]}}}`),
			effects(`{"kind":"message.send","resource":"q","body":{"json":{"l":[` +
				`{"code":2,"id":"new_BBBB2","in":"/new_BBBB2","z":1},{"code":1,"id":"new_BBBB1","in":"/new_BBBB1","z":2}]}}}`)},
		{"a rule for the status of the answer", []Rule{{At: "/body/a", Treat: Ignore, HTTPStatus: []string{"2xx"}}}, body(`{"a":1}`), body(`{"a":2}`)},
		{"an ID of the baseline's that an effect shows to be the candidate's, too", []Rule{id},
			strings.TrimSuffix(body(`{"id":"ord_AAAA1"}`), "[]}") + `[{"kind":"message.send","resource":"q","body":{"json":{"id":"17","see":"/ord_AAAA1"}}}]}`,
			strings.TrimSuffix(body(`{"id":"new_BBBB1"}`), "[]}") + `[{"kind":"message.send","resource":"q","body":{"json":{"id":"ord_AAAA1","see":"/ord_AAAA1"}}}]}`},
		{"IDs that are keys and resources", []Rule{{At: "/effects/*/key", Treat: Alias}, {At: "/effects/*/resource", Treat: Alias}},
			effects(put("ord_AAAA1"), put("ord_AAAA2")), effects(put("ord_AAAA1"), put("ord_AAAA2"))},
		{"several effects", []Rule{id}, effects(put("a"), put("b"), put("c")), effects(put("a"), put("b"), put("c"))},
		{"IDs of the answer in keys", []Rule{id},
			strings.TrimSuffix(body(`{"id":"ord_AAAA1"}`), "[]}") + `[` + put("ord_AAAA1") + `]}`,
			strings.TrimSuffix(body(`{"id":"new_BBBB1"}`), "[]}") + `[` + put("new_BBBB1") + `]}`},
		{"headers that are ignored", []Rule{{At: "/http/headers/x-*", Treat: Ignore}, {At: "/http/headers/date", Treat: Ignore}},
			headers(`"date":["a"],"etag":["b"],"x-a":["1"]`), headers(`"date":["c"],"etag":["b"],"x-b":["2"]`)},
		{"headers in other forms", nil, headers(`"content-type":["application/json"],"vary":["a, b"]`), headers(`"content-type":["application/json"],"vary":["B,A"]`)},
		{"content types in other forms", nil, strings.Replace(headers(`"content-type":["Application/JSON"]`), "}}", `},"body":{"json":{"a":1}}}`, 1),
			strings.Replace(headers(`"content-type":["application/json"]`), "}}", `},"body":{"json":{"a":1}}}`, 1)},
		{"texts", nil, `{"status":"ok","http":{"status":200,"headers":{"content-type":["text/plain"]},"body":{"text":"a\nb"}}}`,
			`{"status":"ok","http":{"status":200,"headers":{"content-type":["text/plain"]},"body":{"text":"a\nb"}}}`},
		{"fates", nil, `{"status":"ok","records":{"a":"acked","b":"retried"}}`, `{"status":"ok","records":{"a":"acked","b":"retried"}}`},
		{"texts of JSON", []Rule{{At: "/body/a", Treat: JSON}, {At: "/body/a/b", Treat: Ignore}}, body(`{"a":"{\"b\":1,\"c\":1}"}`), body(`{"a":"{\"c\":1.0,\"b\":2}"}`)},
	} {
		for i := range tt.rules {
			tt.rules[i].Why = "w"
		}
		t.Run(tt.name, func(t *testing.T) {
			if _, taken := checkShortcutOf(t, tt.rules, []byte(line("i", "f", tt.b, tt.c))); !taken {
				t.Error("the shortcut was not taken")
			}
		})
	}
}

// One line is compared behind another, with the memory of which it is compared.
func TestTheShortcutForgetsTheLineBefore(t *testing.T) {
	body := func(json string) string {
		return `{"status":"ok","http":{"status":200,"body":{"json":` + json + `}},"effects":[]}`
	}
	header := func(outcome, text string) string {
		return strings.Replace(outcome, `"body"`, `"headers":{"x-a":["`+text+`"]},"body"`, 1)
	}
	id, list, ignored := Rule{At: "/**/id", Treat: Alias}, Rule{At: "/body/l", Treat: Unordered}, Rule{At: "/http/headers/x-*", Treat: Ignore}
	one, other := body(`{"id":"ord_AAAA1"}`), body(`{"id":"new_BBBB1"}`)
	for _, tt := range []struct {
		name, reason     string
		rules            []Rule
		formerB, formerC string
		b, c             string
		taken            bool
	}{
		{"an ID in an ignored header", "it is not ignored in the body", []Rule{id, ignored}, one, header(other, "new_BBBB1"),
			body(`{"a":"new_BBBB1","id":"ord_AAAA1"}`), body(`{"a":"new_BBBB1","id":"new_BBBB1"}`), false},
		{"an ID", "it is none without its rule", []Rule{id}, one, other, body(`{"a":"ord_AAAA1"}`), body(`{"a":"new_BBBB1"}`), false},
		{"an ID in a list", "it may be another one in each line", []Rule{id, list}, one, other,
			body(`{"l":[{"id":"ord_AAAA1"},{"id":"ord_AAAA2"}]}`), body(`{"l":[{"id":"new_BBBB2"},{"id":"new_BBBB1"}]}`), true},
		{"an ID in two ways", "it is in one way now", []Rule{id}, body(`{"a":{"id":"ord_AAAA1"},"id":"ord_AAAA1"}`),
			body(`{"a":{"id":"new_BBBB2"},"id":"new_BBBB1"}`), one, other, true},
		{"an ID of the candidate's", "the baseline's stands for nothing", []Rule{id}, body(`{"id":"new_BBBB1"}`), body(`{"id":"new_CCCC1"}`),
			body(`{"a":"/new_BBBB1","id":"ord_AAAA1"}`), body(`{"a":"/new_CCCC1","id":"new_BBBB1"}`), false},
		{"an ID of the baseline's", "it is one of the candidate's now", []Rule{id}, one, other, body(`{"id":"old_CCCC1"}`), one, true},
		{"an ID, before a text spelled by number", "no ID stands in it", []Rule{id}, one, other,
			body(`{"a":"\u0061"}`), body(`{"a":"\u0061"}`), true},
		{"effects", "they are not known now", nil, one, one, strings.Replace(one, `,"effects":[]`, ``, 1), one, false},
	} {
		for i := range tt.rules {
			tt.rules[i].Why = "w"
		}
		t.Run(tt.name, func(t *testing.T) {
			c := newShortcutChecker(t, tt.rules)
			c.check(t, []byte(line("former", "f", tt.formerB, tt.formerC)))
			if _, taken := c.check(t, []byte(line("i", "f", tt.b, tt.c))); taken != tt.taken {
				t.Errorf("the shortcut was taken: %v, want %v: %s", taken, tt.taken, tt.reason)
			}
		})
	}
}
