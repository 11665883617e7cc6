package rewrite

import (
	"errors"
	"fmt"
)

// A Change is a rule that changes events. Most change the values at one place: exactly one of At and Header says
// where, and exactly one of Set, From with To, Namespace, ShiftTime and JWT how. Others know their places: exactly one
// of Hosts, Bucket, Queue and Sign.
type Change struct {
	// At is a JSON pointer (RFC 6901) into the event. A segment may be "*", for any, "**", for any number of them, or
	// end in "*". It goes on into strings that hold a JSON object or array, as the body of an HTTP event may, and into
	// the base64 of a body or of a record.
	At string `yaml:"at"`
	// Header is the name of a header of an HTTP event, in whatever case.
	Header string `yaml:"header"`

	// Set takes the place of strings, and of numbers, true, false and null where it is one of these, too.
	Set *string `yaml:"set"`
	// From is replaced by To wherever it stands in strings.
	From string  `yaml:"from"`
	To   *string `yaml:"to"`
	// Namespace makes IDs the run's own: a UUID becomes another UUID, any other text gets a suffix. In one run equal
	// ones stay equal, at all targets.
	Namespace bool `yaml:"namespace"`
	// ShiftTime moves times by what makes the newest event of the recording one of now. See [Options]. With Sign it is
	// the time that is signed which moves.
	ShiftTime bool `yaml:"shift-time"`
	// JWT signs tokens anew.
	JWT *Token `yaml:"jwt"`

	// Hosts, Bucket and Queue give another name to what has exactly this one, wherever events have it.
	Hosts  *Rename `yaml:"hosts"`
	Bucket *Rename `yaml:"bucket"`
	Queue  *Rename `yaml:"queue"`

	Signing `yaml:",inline"`
}

// A Rename gives another name to a host, a bucket or a queue.
type Rename struct {
	From string `yaml:"from"`
	To   string `yaml:"to"`
}

// Validate returns an error that begins with the key that is wrong. It never has a key to sign with in it.
func (r *Change) Validate() error {
	if own, err := r.validateNamed(); own || err != nil {
		return err
	}
	ways := 0
	for _, set := range []bool{r.Set != nil, r.From != "" || r.To != nil, r.Namespace, r.ShiftTime, r.JWT != nil} {
		if set {
			ways++
		}
	}
	switch {
	case (r.At == "") == (r.Header == ""):
		return errors.New("at: a rule has either at, a JSON pointer, or header")
	case ways != 1:
		return errors.New("at: a rule has one of set, from with to, namespace, shift-time and jwt")
	case (r.From == "") != (r.To == nil):
		return errors.New("from: from and to go together")
	case r.JWT != nil:
		if _, err := r.JWT.signer(); err != nil {
			return fmt.Errorf("jwt: %w", err)
		}
	}
	if r.Header != "" {
		return nil
	}
	_, err := parsePattern(r.At)
	return err
}

// validateNamed validates the rules that know their places. Own is false for all others.
func (r *Change) validateNamed() (own bool, err error) {
	names := 0
	for key, rename := range map[string]*Rename{"hosts": r.Hosts, "bucket": r.Bucket, "queue": r.Queue} {
		if rename != nil {
			names++
			if rename.From == "" || rename.To == "" {
				err = fmt.Errorf("%s: from and to are names, and go together", key)
			}
		}
	}
	plain := r.Set != nil || r.From != "" || r.To != nil || r.Namespace || r.JWT != nil || r.At != ""
	switch {
	case r.Sign == "" && r.Signing != (Signing{}):
		return true, errors.New("sign: key, hash, encoding, over, value, time and fresh go with it, or into jwt")
	case names == 0 && r.Sign == "":
		return false, nil
	case names > 1 || names == 1 && (r.Sign != "" || r.ShiftTime || r.Header != "") || plain:
		return true, errors.New("at: hosts, bucket, queue and sign are rules of their own, whose places are known")
	case err != nil || names == 1:
		return true, err
	}
	_, err = r.signatures()
	return true, err
}

// ShiftsTime reports whether the rule needs to know by how much times move.
func (r *Change) ShiftsTime() bool { return r.ShiftTime || r.JWT != nil && r.JWT.ShiftTime }

// Place is where the rule changes events, as the config says it.
func (r *Change) Place() string {
	switch {
	case r.Header != "":
		return "header " + r.Header
	case r.At != "":
		return r.At
	case r.Sign != "":
		return "sign " + r.Sign
	case r.Hosts != nil:
		return "hosts"
	case r.Bucket != nil:
		return "bucket"
	}
	return "queue"
}

// How is what the rule does, without the values that it puts in, which may be secret.
func (r *Change) How() string {
	switch {
	case r.Sign != "":
		return "sign"
	case r.JWT != nil:
		return "jwt"
	case r.Set != nil:
		return "set"
	case r.Namespace:
		return "namespace"
	case r.ShiftTime:
		return "shift-time"
	case r.From != "":
		return "from-to"
	}
	return "rename"
}
