package rewrite

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A Key is what is signed with. It is never part of an error.
type Key struct {
	// Key is the secret, or a private key in PEM.
	Key string `yaml:"key"`
	// KeyFile is the file that has it. A line feed at its end is no part of it.
	KeyFile string `yaml:"key-file"`
	// KeyEncoding is "base64" or "hex" for a secret that is written so; default: its bytes as they are.
	KeyEncoding string `yaml:"key-encoding"`
}

// maxKeyFile is larger than any key.
const maxKeyFile = 64 << 10

// ReadKeys puts what is in key files, whose names are relative to dir, in their place. Rules that name one are not
// valid before.
func (r *Change) ReadKeys(dir string) error {
	if r.JWT != nil {
		if err := r.JWT.Key.read(dir); err != nil {
			return fmt.Errorf("jwt: %w", err)
		}
	}
	return r.Signing.Key.read(dir)
}

func (k *Key) read(dir string) error {
	if k.KeyFile == "" {
		return nil
	}
	if k.Key != "" {
		return errors.New("key-file: it and key are one too many")
	}
	path := k.KeyFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := readKeyFile(path)
	if err != nil {
		return fmt.Errorf("key-file: %w", err)
	}
	k.Key, k.KeyFile = text, ""
	return nil
}

func readKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxKeyFile {
		return "", fmt.Errorf("%s is too large for a key", path)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	return string(bytes.TrimSuffix(text, []byte("\r"))), nil
}

// secret returns the bytes of the key.
func (k *Key) secret() ([]byte, error) {
	var secret []byte
	var err error
	switch k.KeyEncoding {
	case "":
		secret = []byte(k.Key)
	case "hex":
		secret, err = hex.DecodeString(k.Key)
	case "base64":
		secret, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(k.Key, "="))
	default:
		return nil, fmt.Errorf("key-encoding: %q is neither base64 nor hex", k.KeyEncoding)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("key-encoding: the key is not in %s", k.KeyEncoding) // err would have a part of it
	case k.KeyFile != "":
		return nil, errors.New("key-file: it has not been read")
	case len(secret) == 0:
		return nil, errors.New("key: it is missing or empty")
	}
	return secret, nil
}
