package customhandler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestRouteTemplates(t *testing.T) {
	tests := []struct {
		name, template, path, want string // want is the parameters as %v has them, or "no"
	}{
		{"literal", "orders/new", "orders/new", "map[]"},
		{"case does not matter", "Orders", "oRDERS", "map[]"},
		{"escaped literal", "a b", "a%20b", "map[]"},
		{"longer than the route", "orders", "orders/1", "no"},
		{"shorter than the route", "orders/new", "orders", "no"},
		{"the empty route", "/", "", "map[]"},
		{"is only that", "/", "x", "no"},
		{"parameter", "orders/{id}", "orders/A1", "map[id:A1]"},
		{"keeps its case", "orders/{Id}", "orders/aB", "map[Id:aB]"},
		{"is unescaped", "orders/{id}", "orders/a%2Fb+c", "map[id:a/b+c]"},
		{"takes one segment", "orders/{id}", "orders/1/2", "no"},
		{"and not nothing", "orders/{id}", "orders", "no"},
		{"between literals", "customers/{c}/orders", "customers/7/orders", "map[c:7]"},
		{"optional and there", "orders/{id?}", "orders/1", "map[id:1]"},
		{"optional and not there", "orders/{id?}", "orders", "map[]"},
		{"with a default", "orders/{id=all}", "orders", "map[id:all]"},
		{"catch-all", "files/{*path}", "files/a/b%20c", "map[path:a/b c]"},
		{"catch-all of nothing", "files/{*path}", "files", "map[]"},
		{"two stars", "files/{**path}", "files/a/b", "map[path:a/b]"},
		{"int", "{n:int}", "-12", "map[n:-12]"},
		{"not int", "{n:int}", "12a", "no"},
		{"too large for int", "{n:int}", "3000000000", "no"},
		{"but not for long", "{n:long}", "3000000000", "map[n:3000000000]"},
		{"optional int", "o/{n:int?}", "o", "map[]"},
		{"optional int that is none", "o/{n:int?}", "o/x", "no"},
		{"guid", "{g:guid}", "0f8fad5b-d9cb-469f-a165-70867728950e", "map[g:0f8fad5b-d9cb-469f-a165-70867728950e]"},
		{"not guid", "{g:guid}", "0f8fad5b", "no"},
		{"alpha", "{a:alpha}", "aZ", "map[a:aZ]"},
		{"not alpha", "{a:alpha}", "a1", "no"},
		{"bool", "{b:bool}", "True", "map[b:True]"},
		{"decimal", "{d:decimal}", "1.5", "map[d:1.5]"},
		{"range", "{n:range(1,5)}", "5", "map[n:5]"},
		{"out of range", "{n:range(1,5)}", "6", "no"},
		{"length", "{s:length(2)}", "äö", "map[s:äö]"},
		{"two constraints", "{n:int:min(3)}", "2", "no"},
		{"maxlength", "{s:maxlength(2)}", "abc", "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rt, err := ParseRoute(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			got := "no"
			if params, ok := rt.Match(tt.path); ok {
				got = fmt.Sprint(params)
			}
			if got != tt.want {
				t.Errorf("%s on %s: got %s, want %s", tt.template, tt.path, got, tt.want)
			}
		})
	}
}

func TestRouteTemplateErrors(t *testing.T) {
	tests := []struct{ name, template, want string }{
		{"unknown constraint", "{id:regex(x)}", `the constraint "regex(x)" is not known here`},
		{"bad argument", "{id:min(x)}", `the constraint "min(x)"`},
		{"wrong number of arguments", "{id:min(1,2)}", `the constraint "min(1,2)"`},
		{"mixture", "v{version}", `"v{version}" is not one parameter or one literal`},
		{"unbalanced", "{id", "is not one parameter"},
		{"no name", "{}", `"" is not the name of a parameter`},
		{"twice", "{id}/{ID}", "the parameter ID is there twice"},
		{"catch-all in the middle", "{*a}/b", "{*a} must be the last segment"},
		{"optional in the middle", "{a?}/b", "only the last parameter can be optional"},
		{"empty segment", "a//b", "an empty segment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseRoute(tt.template)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.template) {
				t.Errorf("got %v, want it to name the template and say %q", err, tt.want)
			}
		})
	}
}

func TestRoutesAreTriedFromTheMostSpecific(t *testing.T) {
	want := []string{"a", "a/b", "a/{n:int}", "a/{x}", "a/{x}/c", "a/{*rest}", "{x}", "{*all}"}
	var routes []*Route
	for _, template := range want {
		rt, err := ParseRoute(template)
		if err != nil {
			t.Fatal(err)
		}
		routes = append([]*Route{rt}, routes...)
	}
	slices.SortStableFunc(routes, CompareRoutes)
	for i, rt := range routes {
		if rt.Template != want[i] {
			t.Errorf("place %d has %s, want %s", i, rt.Template, want[i])
		}
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("orders/{id:int?}", "orders/1")
	f.Add("{**x:length(1,2)}", "%2F/a")
	f.Add("{a=b}", "")
	f.Fuzz(func(t *testing.T, template, path string) {
		rt, err := ParseRoute(template)
		if err != nil {
			return
		}
		params, ok := rt.Match(strings.Trim(path, "/"))
		if ok && len(params) > len(rt.segments) {
			t.Errorf("%q on %q: more parameters than segments: %v", template, path, params)
		}
	})
}
