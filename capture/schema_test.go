package capture

import (
	"testing"

	"tandem/docs/schema"
)

func TestSchemasAreThoseOfTheTypes(t *testing.T) {
	schema.Check(t, "recording-line", "json", &invocationLine{})
	schema.Check(t, "recording-manifest", "json", &Manifest{})
}
