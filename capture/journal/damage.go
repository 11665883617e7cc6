package journal

import "fmt"

// A CorruptError says that a file of a journal holds something else than was written.
type CorruptError struct {
	File   string
	Offset int64 // of the frame, in bytes from the start of the file
	Line   int   // the line that it would have been, when the damage is to one line and not to a frame; else 0
	Reason string
}

func (e *CorruptError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s; --salvage skips it", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s: frame at byte %d: %s; --salvage skips it", e.File, e.Offset, e.Reason)
}

// A Cut is an unfinished end of a file: what a kill or a full disk leaves of the last write.
type Cut struct {
	File   string
	Offset int64 // where the unfinished part begins, in bytes from the start of the file
	Bytes  int64 // how long it is
}

func (c Cut) String() string {
	return fmt.Sprintf("%s: cut off at byte %d: the last %d bytes are unfinished", c.File, c.Offset, c.Bytes)
}

// A CutError is a [Cut] where there should be none.
type CutError struct{ Cut }

func (e *CutError) Error() string { return e.Cut.String() + "; --salvage reads what is before them" }

// A KeyError says that a file cannot be decrypted with the identities that were given.
type KeyError struct {
	File   string
	Offset int64 // of what it does not open, in bytes from the start of the file
	Wrong  bool  // there were identities, but none of a recipient
}

func (e *KeyError) Error() string {
	if e.Wrong {
		return fmt.Sprintf("%s: none of the keys that were given opens what is at byte %d: "+
			"--identity or TANDEM_IDENTITY names the file of one that it is encrypted to", e.File, e.Offset)
	}
	return fmt.Sprintf("%s is encrypted: --identity or TANDEM_IDENTITY names the file of the key", e.File)
}

// A MixError refuses to go on with an encrypted journal in plain text, or the other way round.
type MixError struct {
	Path      string
	Encrypted bool // what is there is
}

func (e *MixError) Error() string {
	if e.Encrypted {
		return e.Path + " is encrypted: --recipient says for whom it goes on"
	}
	return e.Path + " is not encrypted, and goes on without --recipient; or record into another one, and join the two " +
		"with tandem distill --all --recipient"
}

// Damage is what one pass over a journal left out because its options allow it.
type Damage struct {
	Cut     *Cut     // the end that was cut off; nil when there is none
	Frames  int      // places where damaged frames were skipped: salvage goes from one to the next good frame
	Bytes   int64    // bytes in those places, as they are on disk
	Lines   int      // lines skipped for being longer than MaxLine
	Missing []string // names of the segments that are not there
	Breaks  int      // places where encrypted frames that were read do not follow one another as they were written
}

// None reports whether everything was read.
func (d *Damage) None() bool {
	return d.Cut == nil && d.Frames == 0 && d.Lines == 0 && d.Breaks == 0 && len(d.Missing) == 0
}
