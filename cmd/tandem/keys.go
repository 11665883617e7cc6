package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/spf13/pflag"

	"tandem/capture"
)

// identityEnv names the variable with the path of a file of keys, for commands that are given none by --identity.
const identityEnv = "TANDEM_IDENTITY"

// recipientFlags say whom a recording or a run is encrypted to.
type recipientFlags struct{ keys, files []string }

func (r *recipientFlags) register(f *pflag.FlagSet) {
	f.StringArrayVar(&r.keys, "recipient", nil,
		"encrypt to this age public `key`; may be given more than once")
	f.StringArrayVar(&r.files, "recipients-file", nil,
		"encrypt to the age public keys in this `file`; may be given more than once")
}

// parse returns the recipients, none if nothing is to be encrypted.
func (r *recipientFlags) parse() ([]age.Recipient, error) {
	var all []age.Recipient
	for _, key := range r.keys {
		if strings.HasPrefix(strings.ToUpper(key), "AGE-SECRET-KEY-") {
			return nil, errors.New("--recipient: this is a secret key: give the public one, age1…, which age-keygen -y prints")
		}
		found, err := age.ParseRecipients(strings.NewReader(key))
		if err != nil {
			return nil, fmt.Errorf("--recipient %q is not an age public key, age1…", key)
		}
		all = append(all, found...)
	}
	for _, path := range r.files {
		found, err := parseKeys(path, age.ParseRecipients)
		if err != nil {
			return nil, fmt.Errorf("--recipients-file: %w", err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, nil
	}
	// Whether keys go together is found out before anything is written.
	if _, err := age.Encrypt(io.Discard, all...); err != nil {
		return nil, fmt.Errorf("encrypt to these recipients: %w", err)
	}
	return all, nil
}

// identityFlags say which keys open encrypted recordings and runs.
type identityFlags struct{ files []string }

func (i *identityFlags) register(f *pflag.FlagSet) {
	f.StringArrayVar(&i.files, "identity", nil,
		"`file` of age secret keys that open what is encrypted; may be given more than once (default $"+identityEnv+")")
}

func (i *identityFlags) parse() ([]age.Identity, error) {
	if path := os.Getenv(identityEnv); len(i.files) == 0 && path != "" {
		found, err := parseKeys(path, age.ParseIdentities)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", identityEnv, err)
		}
		return found, nil
	}
	var all []age.Identity
	for _, path := range i.files {
		found, err := parseKeys(path, age.ParseIdentities)
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// openRecording opens a recording, which identities open if it is encrypted.
func (a *app) openRecording(path string, salvage bool, identities []age.Identity) (*capture.Recording, error) {
	return capture.Open(path, capture.OpenOptions{Salvage: salvage, Stdin: a.stdin, Identities: identities})
}

// parseKeys reads a file of keys. Errors do not tell what is in it.
func parseKeys[K any](path string, parse func(io.Reader) ([]K, error)) ([]K, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	keys, err := parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}
