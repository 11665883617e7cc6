package config

import (
	"errors"
	"fmt"
	"slices"
)

// Handler is a custom handler that is spoken to in the host's place.
type Handler struct {
	URL       string `yaml:"url"`
	Function  string `yaml:"function"`  // its name in the app; default: the config's
	Binding   string `yaml:"binding"`   // the trigger's name in function.json
	DataType  string `yaml:"dataType"`  // the trigger's in function.json: "binary", or none for text
	Container string `yaml:"container"` // of blobs; default: the bucket's name
}

func (h *Handler) validate() error {
	switch {
	case h.URL == "":
		return errors.New("url: it is missing")
	case !isHTTP(h.URL):
		return errors.New("url: it has to begin with http:// or https://")
	case !slices.Contains([]string{"", "string", "binary"}, h.DataType):
		return fmt.Errorf("dataType: %q is neither string nor binary", h.DataType)
	}
	return nil
}
