// Package journal keeps lines of text on disk so that a kill at any moment costs only what was not flushed yet. It
// knows nothing of what the lines say; recordings and runs are made of it.
//
// A journal is a folder of numbered segments, <prefix>-000001.jsonl.zst and on, or one .jsonl or .jsonl.zst file. A
// compressed file is a sequence of zstd frames with checksums. A [Writer] makes each frame of whole lines and writes
// it with one call, so a file that was cut off anywhere still holds every line of the frames before the cut. A
// [Reader] hands out the lines of a frame only after its checksum was verified.
//
// With recipients, each frame is encrypted for itself, as an age file, and files are named .jsonl.zst.age. All of the
// above holds for them as well, and nothing but reading lines needs a key: who has none can go on with a journal.
//
// Files and folders that it makes are for their owner alone, because what is recorded is production data.
package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// MaxLine is the most bytes that one line can have, without its line end.
const MaxLine = 64 << 20

// ErrLine is wrapped by the errors about lines that no journal can hold. They say nothing about the next line.
var ErrLine = errors.New("no line of a journal")

const (
	plainExt      = ".jsonl"
	compressedExt = ".jsonl.zst"
	sealedExt     = ".jsonl.zst.age"
)

// ErrLocked is wrapped by the errors about a journal that another writer has open.
var ErrLocked = errors.New("another process is writing to it")

// IsFile reports whether a journal of that name is one file rather than a folder of segments.
func IsFile(path string) bool {
	return strings.HasSuffix(path, plainExt) || strings.HasSuffix(path, compressedExt) || isSealed(path)
}

// isSealed reports whether the name of a file says that it is encrypted.
func isSealed(path string) bool { return strings.HasSuffix(path, sealedExt) }

// A segment is one file of a journal.
type segment struct {
	path   string // what the file is opened by
	name   string // what errors call it
	number int    // from 1; a lone file is number 1
}

// segmentsOf lists the segments in a folder in order. Gaps are left to missingSegment.
func segmentsOf(dir, prefix string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []segment
	for _, entry := range entries {
		digits, ok := strings.CutPrefix(entry.Name(), prefix+"-")
		if !ok {
			continue
		}
		digits, encrypted := strings.CutSuffix(digits, sealedExt)
		if !encrypted {
			digits, ok = strings.CutSuffix(strings.TrimSuffix(digits, ".zst"), plainExt)
		}
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || digits != fmt.Sprintf("%06d", n) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		found = append(found, segment{path: path, name: path, number: n})
	}
	slices.SortFunc(found, func(a, b segment) int { return a.number - b.number })
	for i := 1; i < len(found); i++ {
		if found[i].number == found[i-1].number {
			return nil, fmt.Errorf("%s: %s and %s are the same segment: keep one of them", dir,
				filepath.Base(found[i-1].path), filepath.Base(found[i].path))
		}
	}
	for _, s := range found {
		if isSealed(s.path) != isSealed(found[0].path) {
			return nil, fmt.Errorf("%s: of %s and %s one is encrypted and one is not: they are not of one recording", dir,
				filepath.Base(found[0].path), filepath.Base(s.path))
		}
	}
	return found, nil
}

func segmentName(prefix string, number int, ext string) string {
	return fmt.Sprintf("%s-%06d%s", prefix, number, ext)
}

// missingSegments names the segments that must have been there once, in order.
func missingSegments(segments []segment, prefix string) []string {
	var missing []string
	ext := compressedExt
	if len(segments) > 0 && isSealed(segments[0].path) {
		ext = sealedExt
	}
	next := 1
	for _, s := range segments {
		if s.number-next > 1000 {
			first, last := segmentName(prefix, next, ext), segmentName(prefix, s.number-1, ext)
			return append(missing, first+" to "+last)
		}
		for ; next < s.number; next++ {
			missing = append(missing, segmentName(prefix, next, ext))
		}
		next = s.number + 1
	}
	return missing
}
