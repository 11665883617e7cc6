package config

import (
	"strings"
	"testing"
)

const firing = `version: 1
functions:
  f: &f
    lambda: {function: f, qualifier: staging, memory: 128, timeout: 3s, rewrite: [{at: /a, set: x}]}
    functions: {http: {url: "https://f/{path}", key: "${KEY}"}, timeout: 5m}
    retry: {safe: true}
  g:
    <<: *f
resources:
  orders: {aws: "s3://orders", azure: "azblob://account/orders"}
rules:
  - {at: /body/id, treat: alias, why: w}
gates:
  g: {require: {mismatches: 0, per-shape: 2}}
prices:
  lambda: {gbSecond: 0.1}
redact:
  - {name: pin}
`

func TestTheHashOfWhatIsFiredIsOfNothingElse(t *testing.T) {
	hash := func(text, key string) string {
		t.Helper()
		c, err := Parse("tandem.yaml", []byte(text), env(map[string]string{"KEY": key, "OTHER": key}))
		if err != nil {
			t.Fatal(err)
		}
		return c.FireHash
	}
	was := hash(firing, "k")
	for _, tt := range []struct {
		name, from, to string
		other          bool // whether the hash is another
	}{
		{"a rule", "treat: alias", "treat: ignore", false},
		{"a threshold", "per-shape: 2", "per-shape: 3", false},
		{"a price", "0.1", "0.2", false},
		{"redaction", "pin", "pins", false},
		{"a deployment's memory", "memory: 128", "memory: 256", false},
		{"its timeout", ", timeout: 5m", "", false},
		{"a comment", "resources:", "# stores\nresources:", false},
		{"the order of keys", "function: f, qualifier: staging", "qualifier: staging, function: f", false},
		{"quotes", "qualifier: staging", `qualifier: "staging"`, false},
		{"what Lambda is", "qualifier: staging", "qualifier: prod", true},
		{"what Functions is", "https://f/{path}", "https://g/{path}", true},
		{"where the key is", "${KEY}", "${OTHER}", true},
		{"what is sent", "set: x", "set: y", true},
		{"what is fired again", "safe: true", "safe: false", true},
		{"a store", "s3://orders", "s3://orders2", true},
		{"a function less", "  g:\n    <<: *f\n", "", true},
		{"a function more", "resources:", "  h: {lambda: {function: h}}\nresources:", true},
		{"its name", "  g:\n", "  h:\n", true},
		{"what it has of another", "    <<: *f\n", "    lambda: {function: f}\n", true},
	} {
		text := strings.Replace(firing, tt.from, tt.to, 1)
		if text == firing {
			t.Fatalf("%s: nothing was replaced", tt.name)
		}
		if other := hash(text, "k") != was; other != tt.other {
			t.Errorf("%s: another hash is %v, want %v", tt.name, other, tt.other)
		}
	}
	if hash(firing, "another secret") != was {
		t.Error("a secret is in the hash")
	}
	if len(was) != 64 {
		t.Errorf("the hash is %q", was)
	}
	for _, text := range []string{"version: 1\n", "version: 1\nrules: []\n"} {
		if hash(text, "") != hash("version: 1\n", "") {
			t.Errorf("%q has another hash than nothing", text)
		}
	}
}
