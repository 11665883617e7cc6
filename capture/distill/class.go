package distill

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"tandem/capture"
)

// A Class is what invocations have in common that exercise a function alike and ended alike.
type Class struct {
	Function string       `json:"function"`
	Shape    string       `json:"shape"` // see [capture.Shape]
	Outcome  OutcomeClass `json:"outcome"`
}

// ClassOf returns the class of an invocation.
func ClassOf(inv *capture.Invocation) Class {
	return Class{Function: inv.Function, Shape: capture.Shape(inv.Event), Outcome: OutcomeClassOf(inv.Outcome)}
}

// An OutcomeClass is how an invocation ended, without what every invocation has of its own.
type OutcomeClass struct {
	// Status is [capture.StatusUnknown] where no outcome was recorded.
	Status capture.Status `json:"status"`
	// HTTP is the status of the answer, 0 for none.
	HTTP int `json:"http,omitempty"`
	// Fates are what became of the messages of a batch, each once, in alphabetical order, with + between them.
	Fates string `json:"fates,omitempty"`
	// Error is the type of the failure, as the function or the platform named it.
	Error string `json:"error,omitempty"`
}

// OutcomeClassOf returns the class of an outcome, which may be nil for one that was not recorded.
func OutcomeClassOf(out *capture.Outcome) OutcomeClass {
	if out == nil {
		return OutcomeClass{Status: capture.StatusUnknown}
	}
	c := OutcomeClass{Status: out.Status}
	if out.HTTP != nil {
		c.HTTP = out.HTTP.Status
	}
	if out.Error != nil {
		c.Error = out.Error.Type
	}
	fates := slices.Sorted(maps.Values(out.Records))
	for i, fate := range slices.Compact(fates) {
		if i > 0 {
			c.Fates += "+"
		}
		c.Fates += string(fate)
	}
	return c
}

// String returns the class in words: "ok 201", "ok acked+retried", "function_error ValueError".
func (c OutcomeClass) String() string {
	words := []string{string(c.Status)}
	if c.HTTP != 0 {
		words = append(words, strconv.Itoa(c.HTTP))
	}
	if c.Fates != "" {
		words = append(words, c.Fates)
	}
	if c.Error != "" {
		words = append(words, c.Error)
	}
	return strings.Join(words, " ")
}
