package cloudwatch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"filippo.io/age"

	"tandem/capture"
	"tandem/capture/journal"
)

// cursorName is the file in a recording's folder that says how far the logs were read. It holds no events.
const cursorName = "cursor-cloudwatch.json"

const cursorVersion = 1

// A cursorFile is the content of the file: a cursor for each function.
type cursorFile struct {
	Version   int                `json:"version"`
	Functions map[string]*cursor `json:"functions"`
}

// A cursor says what is in a recording of one function. Times are in milliseconds.
//
// Log events from Reread on are read again when the capture is resumed: that is where the oldest attempt begins that
// is not in the recording yet. Done are the attempts of which lines come again all the same, so that they are known.
// What was recorded after the cursor was saved is found in the recording, behind the first Recorded invocations.
type cursor struct {
	Group    string       `json:"logGroup"`
	From     int64        `json:"from"`     // where the capture began
	Position int64        `json:"position"` // everything before it was read
	Reread   int64        `json:"reread"`
	Recorded int64        `json:"recorded"` // invocations that the recording had, of any function
	Lost     int64        `json:"lost"`     // so many of the missing were counted in the manifest
	Counts   Completeness `json:"counts"`
	Done     []doneLine   `json:"done"`
}

// A doneLine is an attempt that was counted, and recorded if it had an event.
type doneLine struct {
	RequestID string `json:"id"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
	Started   bool   `json:"started,omitempty"`
	Stream    string `json:"stream"`
}

func loadCursors(dir string) (*cursorFile, error) {
	path := filepath.Join(dir, cursorName)
	doc, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &cursorFile{Version: cursorVersion, Functions: make(map[string]*cursor)}, nil
	}
	if err != nil {
		return nil, err
	}
	file := new(cursorFile)
	if err := json.Unmarshal(doc, file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if file.Version != cursorVersion || file.Functions == nil {
		return nil, fmt.Errorf("%s: version %d is not %d: another tandem wrote it", path, file.Version, cursorVersion)
	}
	return file, nil
}

func (f *cursorFile) save(dir string) error {
	doc, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	if err := journal.WriteFile(filepath.Join(dir, cursorName), append(doc, '\n')); err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	return nil
}

// check refuses a cursor that does not fit what is asked for.
func (c *cursor) check(f Function, from int64) error {
	switch {
	case c.Group != f.Group:
		return fmt.Errorf("the recording has function %s from log group %s, not from %s", f.Name, c.Group, f.Group)
	case from < c.From:
		return fmt.Errorf("the recording has function %s from %s on: what is older goes into a recording of its own",
			f.Name, clock(c.From))
	}
	return nil
}

// cursor makes the cursor for what j knows, when everything before position was read. Log events from reread on may
// come again.
func (j *joiner) cursor(position, reread int64) *cursor {
	c := &cursor{
		Group: j.function.Group, From: j.from, Position: position, Reread: j.oldest(reread), Counts: j.counts,
		Done: []doneLine{},
	}
	for _, attempts := range j.attempts {
		for _, a := range attempts {
			if a.done && a.last >= c.Reread && a.first < j.until {
				c.Done = append(c.Done, doneLine{a.requestID, a.first, a.last, a.started, a.stream})
			}
		}
	}
	slices.SortFunc(c.Done, func(a, b doneLine) int { return cmp.Compare(a.First, b.First) })
	return c
}

// restore gives a new joiner what the cursor knows.
func (j *joiner) restore(c *cursor) {
	j.from, j.countFrom = c.From, c.Position
	j.counts = c.Counts
	if j.counts.Formats == nil {
		j.counts.Formats = make(map[capture.Format]int64)
	}
	for _, d := range c.Done {
		a := &attempt{requestID: d.RequestID, first: d.First, last: d.Last, started: d.Started, done: true}
		j.attempts[a.requestID] = append(j.attempts[a.requestID], a)
		j.known++
		j.place(a, d.Stream)
	}
}

// recordedAfter returns the IDs of the invocations in the recording at dir behind the first n, and how many there are
// in all. The recording may be open for writing. If it is encrypted, identities are needed only when there are any.
func recordedAfter(dir string, n int64, identities []age.Identity) (ids map[string]bool, total int64, err error) {
	total, encrypted, err := capture.CountEncrypted(dir)
	if err != nil || encrypted && total <= n {
		return nil, total, err
	}
	rec, err := capture.Open(dir, capture.OpenOptions{Identities: identities})
	if err != nil && encrypted {
		err = fmt.Errorf("%d invocations were recorded after the cursor was saved, and only a key tells which: %w",
			total-n, err)
	}
	if err != nil {
		return nil, 0, err
	}
	defer rec.Close()
	ids, total = make(map[string]bool), 0
	for line, err := range rec.Lines() {
		if err != nil {
			return nil, 0, err
		}
		if total++; total <= n {
			continue
		}
		var doc struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(line.Data, &doc); err != nil {
			return nil, 0, err
		}
		ids[doc.ID] = true
	}
	return ids, total, nil
}
