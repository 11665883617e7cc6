package eventhub

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPseudoJSONIsReadWhateverIsInItsTexts(t *testing.T) {
	for _, tt := range []struct {
		name, text   string
		doc, escaped string // "" where no escape is undone
		bare         bool
	}{
		{"one text", `{'a':'b'}`, `{"a":"b"}`, "", false},
		{"space anywhere", " { 'a' :\n'b' , 'c' : 'd' } ", `{"a":"b","c":"d"}`, "", false},
		{"what the host writes", `{'message':'Executed 'Functions.orders' (Succeeded, Id=1, Duration=5ms)','level':'I'}`,
			`{"message":"Executed 'Functions.orders' (Succeeded, Id=1, Duration=5ms)","level":"I"}`, "", true},
		{"an apostrophe and a comma", `{'message':'it's 'a', 'b' or c','n':'1'}`,
			`{"message":"it's 'a', 'b' or c","n":"1"}`, "", true},
		{"a text that is pseudo-JSON", `{'message':'got {'a':'b'}','n':1}`, `{"message":"got {'a':'b'}","n":1}`, "", true},
		{"JSON in a text, as it is", `{'message':'in {"a":"x\"y"}','n':1}`,
			`{"message":"in {\"a\":\"x\\\"y\"}","n":1}`, `{"message":"in {\"a\":\"x\"y\"}","n":1}`, false},
		{"apostrophes with backslashes", `{'message':'it\'s, \'b\': c','n':1}`,
			`{"message":"it\\'s, \\'b\\': c","n":1}`, `{"message":"it's, 'b': c","n":1}`, false},
		{"a path that ends with a backslash", `{'path':'C:\tmp\','n':1}`,
			`{"path":"C:\\tmp\\","n":1}`, `{"path":"C:\tmp\\","n":1}`, false},
		{"words", `{'t':True,'f':False,'n':None,'i':-12,'x':1.5e3,'j':true,'k':null}`,
			`{"t":true,"f":false,"n":null,"i":-12,"x":1.5e3,"j":true,"k":null}`, "", false},
		{"numbers as texts", `{'levelId':'2'}`, `{"levelId":"2"}`, "", false},
		{"nested", `{'a':{'b':['c','d's',{'e':'f'}],'g':{}},'h':[]}`,
			`{"a":{"b":["c","d's",{"e":"f"}],"g":{}},"h":[]}`, "", true},
		{"texts in double quotes", `{'a':"it's \"b\"",'c':'d'}`, `{"a":"it's \"b\"","c":"d"}`, "", false},
		{"escapes of every kind", `{'a':'\u00e9\x41\ud83d\ude00\n\q'}`,
			`{"a":"\\u00e9\\x41\\ud83d\\ude00\\n\\q"}`, `{"a":"éA😀\n\\q"}`, false},
		{"a line end in a text", "{'a':'b\nc'}", `{"a":"b\nc"}`, "", false},
		{"empty texts", `{'a':'','b':''}`, `{"a":"","b":""}`, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parsePseudo([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if string(p.doc) != tt.doc || string(p.escaped) != tt.escaped || p.bare != tt.bare {
				t.Errorf("doc %s\nescaped %s\nbare %v", p.doc, p.escaped, p.bare)
			}
		})
	}
}

func TestWhatIsNoPseudoJSONIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "{", "{'a'", "{'a':", "{'a':'b'", "{'a':'b',}", "{'a' 'b'}", "'a'", "{a:'b'}", "{'a':b}", "{'a':'b'}x",
		"{'a':01}", "[1]", strings.Repeat("{'a':", 100) + "1" + strings.Repeat("}", 100),
	} {
		if p, err := parsePseudo([]byte(text)); err == nil {
			t.Errorf("%.50s is taken for %s", text, p.doc)
		}
	}
}

// FuzzPseudo checks that whatever is accepted gives JSON, and that what a plain writer makes of texts without
// apostrophes comes back.
func FuzzPseudo(f *testing.F) {
	f.Add(`{'message':'Executed 'Functions.f' (Succeeded)','n':1}`)
	f.Add(`{'a':{'b':["c",'d's']},'x':None}`)
	f.Add(`a\'b","c`)
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePseudo([]byte(text)); err == nil {
			if !json.Valid(p.doc) || p.escaped != nil && !json.Valid(p.escaped) {
				t.Fatalf("%q became %s and %s", text, p.doc, p.escaped)
			}
		}
		text = strings.ToValidUTF8(text, "")
		if strings.ContainsAny(text, `'\`) {
			return
		}
		p, err := parsePseudo([]byte("{'first':'" + text + "','second':{'third':['" + text + "']}}"))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var doc struct {
			First  string
			Second struct{ Third []string }
		}
		if err := json.Unmarshal(p.doc, &doc); err != nil || doc.First != text || doc.Second.Third[0] != text {
			t.Fatalf("%q became %s: %v", text, p.doc, err)
		}
	})
}
