package eventhub

// A ledger says which events of one partition, as long as this process has it, are done with: what they said was
// written, or left out. A checkpoint may not pass an event before that.
type ledger struct {
	partition string
	entries   []*entry // in order; of those that are done with and next to each other, the last at least
	full      int      // with more entries it is time to compact them
	saved     int64    // the sequence number of the checkpoint, -1 for none
}

// An entry is an event. It is done with when nothing holds it open.
type entry struct {
	ledger   *ledger
	sequence int64
	offset   string
	open     int // how many hold it
}

// add notes an event that has come. It is open until [entry.release] was called once.
func (l *ledger) add(sequence int64, offset string) *entry {
	e := &entry{ledger: l, sequence: sequence, offset: offset, open: 1}
	if len(l.entries) > l.full {
		l.compact()
		l.full = 2*len(l.entries) + 10
	}
	l.entries = append(l.entries, e)
	return e
}

func (e *entry) hold()    { e.open++ }
func (e *entry) release() { e.open-- }

// covered returns the last event before which, with itself, all are done with; nil when none is.
func (l *ledger) covered() *entry {
	l.compact()
	if len(l.entries) > 0 && l.entries[0].open == 0 {
		return l.entries[0]
	}
	return nil
}

// compact drops the entries that are done with and have another such behind them.
func (l *ledger) compact() {
	kept := l.entries[:0]
	for i, e := range l.entries {
		if e.open == 0 && i+1 < len(l.entries) && l.entries[i+1].open == 0 {
			continue
		}
		kept = append(kept, e)
	}
	clear(l.entries[len(kept):])
	l.entries = kept
}
