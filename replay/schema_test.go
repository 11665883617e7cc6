package replay

import (
	"testing"

	"tandem/docs/schema"
)

func TestSchemasAreThoseOfTheTypes(t *testing.T) {
	schema.Check(t, "run-line", "json", &trialLine{})
	schema.Check(t, "run-manifest", "json", &RunManifest{})
}
