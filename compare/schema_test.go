package compare

import (
	"testing"

	"tandem/docs/schema"
)

func TestTheSchemaIsThatOfTheType(t *testing.T) { schema.Check(t, "report", "json", &Report{}) }
