package replay

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An Environment says what depends on a deployment, and so what firing at it may harm. The zero value is for what
// runs on this machine, and nothing depends on.
type Environment string

const (
	Sandbox    Environment = "sandbox"
	Staging    Environment = "staging"
	Production Environment = "production"
	// Undeclared is for a deployment elsewhere of which nobody has said it. Nothing is fired at it.
	Undeclared Environment = "undeclared"
)

// forbidden returns what stands in the way of firing at all targets of the functions that are selected: those that
// are production and not named by AllowProduction, those that are undeclared, and names in AllowProduction that allow
// nothing.
func (o *Options) forbidden(sel *selector) []error {
	var errs []error
	environments := make(map[string]Environment) // by function/target
	for _, ref := range o.targetRefs() {
		name := ref.Function + "/" + ref.Name
		environments[name] = ref.Environment
		functions := sel.only.Functions
		switch {
		case len(functions) > 0 && !slices.Contains(functions, ref.Function):
		case ref.Environment == Production && !slices.Contains(o.AllowProduction, name):
			errs = append(errs, fmt.Errorf("%s (%s) is production: nothing is fired at it without --allow-production %s",
				name, ref.Address, quote(name)))
		case ref.Environment == Undeclared:
			errs = append(errs, fmt.Errorf("%s (%s) is not on this machine, and the config does not say what depends on it: "+
				"set its environment to sandbox, staging or production", name, ref.Address))
		}
	}
	for _, name := range o.AllowProduction {
		switch environment, known := environments[name]; {
		case !known:
			errs = append(errs, fmt.Errorf("--allow-production %s: there is no such target, but %s", name,
				strings.Join(slices.Sorted(maps.Keys(environments)), ", ")))
		case environment != Production:
			errs = append(errs, fmt.Errorf("--allow-production %s: the config does not say that it is production", name))
		}
	}
	return errs
}

// checkEnvironments returns an error when something is forbidden.
func (o *Options) checkEnvironments(sel *selector) error {
	if errs := o.forbidden(sel); len(errs) > 0 {
		return fmt.Errorf("nothing was fired: %w", errors.Join(errs...))
	}
	return nil
}
