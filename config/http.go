package config

import (
	"errors"
	"strings"
)

// HTTP is an HTTP trigger.
type HTTP struct {
	URL   string `yaml:"url"`   // {name} is a path parameter of the event, {path} its whole path
	Key   string `yaml:"key"`   // function key; none for anonymous functions
	Entra *Entra `yaml:"entra"` // for an app that App Service Authentication guards

	Orchestration `yaml:",inline"`
}

// Entra has requests carry a token of Entra ID, got with the credentials that the Azure SDK finds.
type Entra struct {
	Scope string `yaml:"scope"` // such as "api://CLIENT-ID/.default"
}

func (h *HTTP) validate() error {
	switch {
	case h.URL == "":
		return errors.New("url: it is missing")
	case h.Entra != nil && (h.Entra.Scope == "" || strings.ContainsAny(h.Entra.Scope, " \t\n")):
		return errors.New("entra: one scope is needed, such as api://CLIENT-ID/.default")
	}
	return h.validateOrchestration()
}
