package httpproxy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoutesThatAPIGatewayWouldRefuseAreRefused(t *testing.T) {
	for _, tc := range []struct{ why, key string }{
		{"no path", "GET"},
		{"no method", "/orders"},
		{"the path is not absolute", "GET orders"},
		{"a query is not part of a route", "GET /orders?id"},
		{"a variable is a whole segment", "GET /orders/a{id}"},
		{"a variable needs a name", "GET /orders/{}"},
		{"a greedy variable needs a name", "GET /orders/{+}"},
		{"an open brace", "GET /orders/{id"},
		{"greedy must be last", "GET /{proxy+}/orders"},
		{"one name twice", "GET /{id}/{id}"},
		{"a bad escape", "GET /a%zz"},
		{"two spaces", "GET  /a b"},
	} {
		if r, err := ParseRoute(tc.key); err == nil {
			t.Errorf("%s: ParseRoute(%q) = %+v, want an error", tc.why, tc.key, r)
		}
	}
	if _, err := NewRouter([]string{"GET /a/{x}", "GET /a/{y}"}); err == nil {
		t.Error("two routes that match the same requests are accepted")
	}
}

func TestTheMostSpecificRouteWins(t *testing.T) {
	router, err := NewRouter([]string{
		"$default", "ANY /{proxy+}", "GET /pets/{proxy+}", "GET /pets/dog/{id}", "GET /pets/dog/1", "ANY /pets/dog/1",
		"POST /customers/{customerId}/orders", "GET /files/{path+}", "get /lower", "GET /ca%66%C3%A9", "ANY /",
	})
	if err != nil {
		t.Fatal(err)
	}
	type params = map[string]string
	for _, tc := range []struct {
		why, method, path, key string
		params                 params
	}{
		{"a full match", "GET", "/pets/dog/1", "GET /pets/dog/1", nil},
		{"ANY after the method", "PUT", "/pets/dog/1", "ANY /pets/dog/1", nil},
		{"a variable after a literal", "GET", "/pets/dog/2", "GET /pets/dog/{id}", params{"id": "2"}},
		{"greedy after a variable", "GET", "/pets/cat/1", "GET /pets/{proxy+}", params{"proxy": "cat/1"}},
		{"a shorter greedy for another method", "POST", "/pets/cat/1", "ANY /{proxy+}", params{"proxy": "pets/cat/1"}},
		{"an encoded slash stays in its segment", "POST", "/customers/a%2Fb/orders",
			"POST /customers/{customerId}/orders", params{"customerId": "a%2Fb"}},
		{"a plus is a plus", "POST", "/customers/a+b/orders",
			"POST /customers/{customerId}/orders", params{"customerId": "a+b"}},
		{"dots are not cleaned", "GET", "/files/../x//y", "GET /files/{path+}", params{"path": "../x//y"}},
		{"a trailing slash is another path", "GET", "/pets/dog/1/", "GET /pets/{proxy+}", params{"proxy": "dog/1/"}},
		{"a variable is not empty", "POST", "/customers//orders", "ANY /{proxy+}", params{"proxy": "customers//orders"}},
		{"literals match decoded", "GET", "/caf%c3%a9", "GET /ca%66%C3%A9", nil},
		{"methods are written in any case", "GET", "/lower", "get /lower", nil},
		{"the root is its own route", "GET", "/", "ANY /", nil},
	} {
		m, ok := router.Match(tc.method, tc.path)
		if !ok || m.Key() != tc.key {
			t.Errorf("%s: %s %s matches %q, %v; want %q", tc.why, tc.method, tc.path, m.Key(), ok, tc.key)
		}
		if diff := cmp.Diff(tc.params, m.Params); diff != "" {
			t.Errorf("%s: params (-want +got):\n%s", tc.why, diff)
		}
	}
}

func TestWithoutADefaultRouteARequestMayMatchNothing(t *testing.T) {
	router, err := NewRouter([]string{"GET /a/{rest+}"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/a", "/a/", "/b/c"} {
		if m, ok := router.Match("GET", path); ok {
			t.Errorf("%s matches %s", path, m.Key())
		}
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("GET /pets/{petId}", "GET", "/pets/1")
	f.Add("ANY /{proxy+}", "PUT", "/a/b%2Fc//")
	f.Add("$default", "GET", "")
	f.Fuzz(func(t *testing.T, key, method, path string) {
		route, err := ParseRoute(key)
		if err != nil {
			return
		}
		router, err := NewRouter([]string{key})
		if err != nil {
			t.Fatalf("ParseRoute takes %q and NewRouter does not: %v", key, err)
		}
		m, ok := router.Match(method, path)
		if !ok {
			return
		}
		if m.Key() != key {
			t.Fatalf("key %q became %q", key, m.Key())
		}
		rebuilt := strings.TrimPrefix(path, "/")
		for _, value := range m.Params {
			if !strings.Contains(rebuilt, value) || value == "" {
				t.Fatalf("%s on %q: the value %q is not of the path", route.Key, path, value)
			}
		}
	})
}
