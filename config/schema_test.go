package config

import (
	"testing"

	"tandem/docs/schema"
)

func TestTheSchemaIsThatOfTheType(t *testing.T) { schema.Check(t, "config", "yaml", &Config{}) }
