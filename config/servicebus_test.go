package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestAServiceBusIsCheckedBeforeItIsFiredAt(t *testing.T) {
	const key = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0"
	const one = "version: 1\nfunctions:\n  f: {functions: {servicebus: {%s}}}\n  g: {functions: {servicebus: {%s}}}\n"
	const other = `namespace: other, name: q`
	for _, tt := range []struct{ name, f, g, want string }{
		{"a connection string", `connection: "` + key + `", name: q, sessions: true, maxMessage: 1048576`, other, ""},
		{"no name", `namespace: ns`, other, "name: it is missing"},
		{"no way in", `name: q`, other, "connection: it is missing"},
		{"two ways in", `connection: "` + key + `", namespace: ns, name: q`, other, "namespace: either"},
		{"a name in the wrong place", `connection: ns, name: q`, other, "goes under namespace"},
		{"a size that is none", `namespace: ns, name: q, maxMessage: -1`, other, "maxMessage: -1"},
		{"another queue", `namespace: ns, name: q`, `namespace: ns, name: r`, ""},
		{"one queue", `namespace: ns, name: q`, `namespace: ns, name: q`, "either would take the other's messages"},
		{"one queue, spelt otherwise", `namespace: NS.servicebus.windows.net, name: Q`, `connection: "` + key + `", name: q`,
			"either would take the other's messages"},
	} {
		_, err := Parse("tandem.yaml", fmt.Appendf(nil, one, tt.f, tt.g), secrets)
		switch {
		case (err == nil) != (tt.want == ""):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		case err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "c2VjcmV0")):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
