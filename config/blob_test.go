package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestBlobTriggersSayWhatTheyLack(t *testing.T) {
	for _, tt := range []struct {
		name, blob, want string // "" when it is whole
	}{
		{"by polling", "account: a, container: c", ""},
		{"all of polling", "account: a, container: c, source: polling, function: f, host: h, attempts: 3", ""},
		{"by a subscription", "account: a, container: c, source: eventgrid", ""},
		{"by events of its own", "account: a, container: c, source: eventgrid, url: 'https://u', key: k", ""},
		{"no account", "container: c", "account: it is missing"},
		{"no container", "account: a", "container: it is missing"},
		{"a source that is none", "account: a, container: c, source: logs", `source: "logs" is neither`},
		{"events for a container that is polled", "account: a, container: c, url: u, key: k", "url: the app is sent"},
		{"events without a key", "account: a, container: c, source: eventgrid, url: u", "key: it is missing"},
		{"a key without an app", "account: a, container: c, source: eventgrid, key: k", "key: it is for an app"},
		{"fewer attempts than none", "account: a, container: c, attempts: -1", "attempts: it is below 0"},
	} {
		text := fmt.Sprintf("version: 1\nfunctions:\n  f:\n    functions:\n      blob: {%s}\n", tt.blob)
		_, err := Parse("tandem.yaml", []byte(text), secrets)
		var at *Error
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (!errors.As(err, &at) || at.Line != 5 || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want line 5 and %q", tt.name, err, tt.want)
		}
	}
}

func TestTwoFunctionsMayNotWatchOneContainer(t *testing.T) {
	const two = "version: 1\nfunctions:\n  f: {functions: {blob: {account: a, container: c%s}}}\n" +
		"  g: {functions: {blob: {account: %s, container: c%s}}}\n"
	const told = ", source: eventgrid, url: 'https://u', key: k" // the app is told whom an upload is for
	for _, tt := range []struct {
		name, f, account, g string
		taken               bool
	}{
		{"containers of two accounts", "", "b", "", false},
		{"one container", "", "a", "", true},
		{"one, named in two ways", "", "'AccountName=a;AccountKey=k'", "", true},
		{"one, named by its URL", "", "'https://a.blob.core.windows.net/'", "", true},
		{"one by polling and one by a subscription", "", "a", ", source: eventgrid", true},
		{"one by polling and one by events of its own", "", "a", told, true},
		{"one by events of its own and one by polling", told, "a", "", true},
		{"both by events of their own", told, "a", told, false},
	} {
		_, err := Parse("tandem.yaml", fmt.Appendf(nil, two, tt.f, tt.account, tt.g), secrets)
		if tt.taken != (err != nil) || err != nil &&
			!strings.Contains(err.Error(), "tandem.yaml:4: container: c is that of f, too: an upload for one would fire") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
