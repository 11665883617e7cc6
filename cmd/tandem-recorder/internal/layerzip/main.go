// Command layerzip writes the zip file of a Lambda layer: layerzip OUT.zip NAME=FILE… puts each file in under its
// name. All are executable and from the same moment, in the order of their names, so that equal files make equal
// zips.
package main

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "layerzip:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: layerzip OUT.zip NAME=FILE…")
	}
	out, err := os.Create(args[0])
	if err != nil {
		return err
	}
	defer out.Close()
	if err := write(out, args[1:]); err != nil {
		return fmt.Errorf("write %s: %w", args[0], err)
	}
	return out.Close()
}

// moment is the time of all files: the first that a zip can have.
var moment = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func write(out io.Writer, files []string) error {
	z := zip.NewWriter(out)
	for _, f := range slices.Sorted(slices.Values(files)) {
		name, path, ok := strings.Cut(f, "=")
		if !ok {
			return fmt.Errorf("%q is not NAME=FILE", f)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: moment}
		header.SetMode(0o755)
		w, err := z.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return z.Close()
}
