package effects

import (
	"strings"
	"testing"
)

func TestResourcesThatCannotBeUsedAreNamed(t *testing.T) {
	tests := []struct {
		name string
		in   Resources
		want string // "" if valid
	}{
		{"both clouds", shop, ""},
		{"one cloud", Resources{"a": {Azure: "azqueue://acc/q"}}, ""},
		{"one container name in two accounts", Resources{"a": {Azure: "azblob://x/c"}, "b": {Azure: "azblob://y/c"}}, ""},
		{"neither cloud", Resources{"a": {}}, `resource "a": it has neither an aws nor an azure name`},
		{"no name", Resources{"": {AWS: "s3://b"}}, "it needs a name"},
		{"a URL for a name", Resources{"s3://x": {AWS: "s3://b"}}, "could be taken for a URL"},
		{"a key in a bucket", Resources{"a": {AWS: "s3://b/prefix"}}, `"s3://b/prefix" is neither s3://BUCKET nor`},
		{"a bare name", Resources{"a": {AWS: "b"}}, `aws: "b" is neither`},
		{"the clouds swapped", Resources{"a": {AWS: "azblob://a/b"}}, `aws: "azblob://a/b" is neither`},
		{"no account", Resources{"a": {Azure: "azblob://c"}}, `azure: "azblob://c" is neither azblob://ACCOUNT/CONTAINER`},
		{"a bucket and a queue", Resources{"a": {AWS: "s3://b", Azure: "azqueue://x/q"}}, "one is a queue and the"},
		{"a bucket twice", Resources{"a": {AWS: "s3://b"}, "z": {AWS: "s3://b"}}, `resource "z": s3://b is also "a"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewServer(Options{Resources: test.in})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestResourcesAreFoundByAccountAndElseByName(t *testing.T) {
	d, err := newDirectory(Resources{
		"orders": {AWS: "s3://o", Azure: "azblob://prod/orders"},
		"a":      {Azure: "azblob://x/same"},
		"b":      {Azure: "azblob://y/same"},
		"mail":   {AWS: "sqs://mail", Azure: "azqueue://prod/orders"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"s3://o":                 "orders",
		"azblob://prod/orders":   "orders",
		"azblob://local/orders":  "orders",
		"azqueue://local/orders": "mail",
		"azblob://y/same":        "b",
		"azblob://local/same":    "azblob://local/same", // it could be either
		"s3://other":             "s3://other",
		"sqs://o":                "sqs://o",
	} {
		if got := d.resource(url); got != want {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
	}
}
