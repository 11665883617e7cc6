// Package schema keeps the JSON Schemas of tandem's file formats beside this file. They are generated from the Go types
// by tests of the packages that have these; nothing in the program depends on them.
package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/invopop/jsonschema"
)

// Check fails the test when the schema kept as name.schema.json is not that of v's type. Tag is the struct tag that
// names fields, "json" or "yaml". With UPDATE_SCHEMAS=1 in the environment, it writes the schema instead.
func Check(t testing.TB, name, tag string, v any) {
	t.Helper()
	r := jsonschema.Reflector{FieldNameTag: tag, Anonymous: true, AllowAdditionalProperties: tag == "json"}
	r.RequiredFromJSONSchemaTags = tag == "yaml" // in a config, everything may be left out
	s := r.Reflect(v)
	doc, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	doc = append(doc, '\n')
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(here), name+".schema.json")
	if os.Getenv("UPDATE_SCHEMAS") == "1" {
		if err := os.WriteFile(path, doc, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, doc) {
		t.Errorf("%s is not the schema of %T: UPDATE_SCHEMAS=1 go test writes it anew", path, v)
	}
}
