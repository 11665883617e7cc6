package capture

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/oklog/ulid/v2"

	"tandem/capture/journal"
)

// Objects in an encrypted recording are age files. Their names are a hash that only readers can tell: the plain one
// would let anybody who has the disk find out whether an object is one that he can guess. A Writer that keeps objects
// makes a key for the names, at random, and leaves it beside them, encrypted as they are. Another Writer, which may
// have no identity to read it with, makes another one; readers try all.
const (
	sealedFolder  = "objects/hmac-sha256"
	sealedExt     = ".age"
	nameKeyPrefix = "key-"
	nameKeySize   = 32
)

// An objectNames names and writes the objects of a recording: as they are, when there are no recipients.
type objectNames struct {
	recipients []age.Recipient
	key        []byte // of the names; nil before the first object
}

func (o *objectNames) folder() string {
	if len(o.recipients) == 0 {
		return objectsFolder
	}
	return sealedFolder
}

// prepare makes the key for the names, if one is needed and not there yet.
func (o *objectNames) prepare(folder string) error {
	if len(o.recipients) == 0 || o.key != nil {
		return nil
	}
	key := make([]byte, nameKeySize)
	rand.Read(key)
	temp, err := os.CreateTemp(folder, unfinishedObject)
	if err != nil {
		return err
	}
	if _, err := o.copy(temp, bytes.NewReader(key)); err != nil {
		temp.Close()
		os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", temp.Name(), err)
	}
	if err := journal.Publish(temp, filepath.Join(folder, nameKeyPrefix+ulid.Make().String()+sealedExt)); err != nil {
		return err
	}
	o.key = key
	return nil
}

func (o *objectNames) name(sha256hex string) string {
	if len(o.recipients) == 0 {
		return sha256hex
	}
	return sealedName(o.key, sha256hex)
}

func sealedName(key []byte, sha256hex string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(sha256hex))
	return hex.EncodeToString(mac.Sum(nil)) + sealedExt
}

// copy writes an object and returns its size.
func (o *objectNames) copy(to io.Writer, from io.Reader) (int64, error) {
	if len(o.recipients) == 0 {
		return io.Copy(to, from)
	}
	w, err := age.Encrypt(to, o.recipients...)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(w, from)
	if err != nil {
		return n, err
	}
	return n, w.Close()
}

// CountEncrypted reports whether the recording in the folder dir is encrypted, and if so, how many invocations are in
// it. It needs no key. The recording may be open for writing.
func CountEncrypted(dir string) (invocations int64, encrypted bool, err error) {
	m, err := readManifest(dir)
	if err != nil || m.Encryption == "" {
		return 0, false, err
	}
	invocations, err = journal.CountSealed(dir, invocationsPrefix)
	return invocations, true, err
}

// readNameKeys returns the keys of the names of encrypted objects.
func (r *Recording) readNameKeys() ([][]byte, error) {
	folder := filepath.Join(r.dir, filepath.FromSlash(sealedFolder))
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var keys [][]byte
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), nameKeyPrefix) {
			continue
		}
		file, err := os.Open(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		key, err := r.readNameKey(file)
		file.Close()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (r *Recording) readNameKey(file *os.File) ([]byte, error) {
	in, err := r.decrypt(file)
	if err != nil {
		return nil, err
	}
	key := make([]byte, nameKeySize)
	if _, err := io.ReadFull(in, key); err != nil {
		return nil, fmt.Errorf("%s: the key of the objects' names cannot be read: %w", file.Name(), err)
	}
	return key, nil
}

// decrypt returns what is in an age file.
func (r *Recording) decrypt(file *os.File) (io.Reader, error) {
	in, err := age.Decrypt(bufio.NewReader(file), r.opts.Identities...)
	if noMatch := (*age.NoIdentityMatchError)(nil); errors.As(err, &noMatch) {
		return nil, &journal.KeyError{File: file.Name(), Wrong: true}
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not decrypt: %w", file.Name(), err)
	}
	return in, nil
}

// openSealed opens an object of an encrypted recording.
func (r *Recording) openSealed(sha256hex string) (io.ReadCloser, error) {
	keys, err := r.nameKeys()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		file, err := os.Open(filepath.Join(r.dir, filepath.FromSlash(sealedFolder), sealedName(key, sha256hex)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		content, err := r.decrypt(file)
		if err != nil {
			file.Close()
			return nil, err
		}
		return &object{file: file, content: content, sum: sha256.New(), want: sha256hex}, nil
	}
	return nil, &fs.PathError{Op: "open object " + sha256hex, Path: r.dir, Err: fs.ErrNotExist}
}
