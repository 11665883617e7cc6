// Package scratch makes temporary files that nothing is left of, however the program ends.
package scratch

import (
	"fmt"
	"os"
)

// A File is a temporary file. Only its owner can read it. Where an open file may be removed, its name is gone at
// once, so that not even a kill leaves it behind; elsewhere Close removes it.
type File struct{ *os.File }

// Create makes a file in the system's place for temporary files, which the environment can set (TMPDIR on Unix).
func Create() (*File, error) {
	file, err := os.CreateTemp("", "tandem-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	_ = os.Remove(file.Name())
	return &File{file}, nil
}

// WriteAt is [os.File.WriteAt], whose errors say what to do about a full disk.
func (f *File) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	if err != nil {
		err = fmt.Errorf("temporary file in %s (TMPDIR names another folder): %w", os.TempDir(), err)
	}
	return n, err
}

// Close closes and removes the file.
func (f *File) Close() error {
	err := f.File.Close()
	_ = os.Remove(f.Name()) // usually done long ago
	return err
}
