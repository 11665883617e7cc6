package httptrigger

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// FuzzTemplateParse checks that what a template makes of a URL is what package url does.
func FuzzTemplateParse(f *testing.F) {
	for _, path := range []string{"/orders", "", "orders", "//x", "/a%2fb", "/a;b", "/é", "/a?b=c", "/a#b", "/a:b", "/..", "/~a_b-c.d"} {
		f.Add(path)
	}
	var templates []*template
	for _, text := range []string{
		"http://127.0.0.1:80{path}", "HTTPS://A.example/api/{path}", "http://[::1]:7071{path}", "http://a.example/{path}?c=d",
	} {
		t, err := parseTemplate(text)
		if err != nil {
			f.Fatal(err)
		}
		templates = append(templates, t)
	}
	f.Fuzz(func(t *testing.T, path string) {
		for _, tmpl := range templates {
			got, err := tmpl.parse(tmpl.texts[0] + path)
			want, werr := url.Parse(tmpl.texts[0] + path)
			if (err == nil) != (werr == nil) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s%s is %#v, %v, and to package url %#v, %v", tmpl.texts[0], path, got, err, want, werr)
			}
		}
	})
}

func TestErrorsHaveNoKeys(t *testing.T) {
	for _, text := range []string{
		"http://a.example/{?code=secret", "ftp://user:secret@a.example/x", "http://a.example/%zz?code=secret",
		"http://user:secret@a.example{id}?code=secret", "?code=secret",
	} {
		if _, err := parseTemplate(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
