package journal

import (
	"os"
	"path/filepath"
)

// Publish makes a finished temporary file appear as path, durably and at once: it syncs, closes and renames it. On
// error the temporary file is removed, and what was at path is as it was.
func Publish(temp *os.File, path string) error {
	err := temp.Sync()
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return syncDir(dir)
}

// WriteFile makes data the content of path, replacing what is there, so that at any moment either is there whole.
func WriteFile(path string, data []byte) error {
	temp, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := temp.Write(data); err != nil {
		temp.Close()
		os.Remove(temp.Name())
		return err
	}
	return Publish(temp, path)
}
