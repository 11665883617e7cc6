package distill

import (
	"fmt"

	"tandem/capture"
)

// Redaction returns what the sources together say of secrets that were replaced in them, nil when none says
// something. A source that is one file cannot say it. Unless mixed is set, it is an error that some do and some do
// not: what is made of both would look safe, and is not.
func Redaction(sources []Source, mixed bool) (*capture.Redaction, error) {
	var all *capture.Redaction
	var redacted, plain string
	for _, s := range sources {
		m := s.Recording.Manifest()
		if m == nil || m.Redaction == nil {
			plain = s.Name
			continue
		}
		if all == nil {
			all = new(capture.Redaction)
		}
		redacted = s.Name
		all.Add(m.Redaction)
	}
	if all == nil || plain == "" {
		return all, nil
	}
	if !mixed {
		return nil, fmt.Errorf(
			"secrets were replaced in %s, and for all that is known not in %s: --mixed puts both into one", redacted, plain)
	}
	all.Add(nil)
	return all, nil
}
