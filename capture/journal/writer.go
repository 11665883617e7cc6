package journal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
)

// WriterOptions say how a [Writer] works. The zero value is a new journal with the defaults.
type WriterOptions struct {
	// Append goes on with a journal that is there, after it was repaired as [Repair] does: in a folder with a new
	// segment, in a lone file at its end. Where nothing is there, it is like a new journal.
	Append bool
	// FrameBytes is how much text is gathered before it is written: 1 MiB unless set. That much compresses about as
	// well as a whole file, and is small enough to be read whole.
	FrameBytes int
	// FlushAfter is how long a line waits at most for others: 1 s unless set. It bounds what a kill can cost.
	FlushAfter time.Duration
	// SegmentBytes is the size at which a segment is ended: 256 MiB unless set, which is small enough to copy, and
	// to search for damage.
	SegmentBytes int64
	// Recipients are whom each frame is encrypted to; without any, nothing is encrypted. What is appended to a journal
	// may be for others than what is there, but is encrypted when that is, and only then: else there is a [*MixError].
	Recipients []age.Recipient
}

func (o WriterOptions) withDefaults() WriterOptions {
	if o.FrameBytes <= 0 {
		o.FrameBytes = 1 << 20
	}
	o.FrameBytes = min(o.FrameBytes, wholeContent) // so that an encrypted one can be read
	if o.FlushAfter <= 0 {
		o.FlushAfter = time.Second
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 256 << 20
	}
	return o
}

// syncEvery is how often a file is synced to disk at most.
const syncEvery = time.Second

// A Writer appends lines to a journal. Its methods may be called concurrently.
//
// Lines are gathered until there is a megabyte of them or the first is a second old, then compressed to one frame
// and written with one call, in the background. What was written survives a kill of the process; it survives a
// failure of the machine once it was synced, which happens within a second of the write, at most once a second, and
// on [Writer.Close].
//
// The first write that fails ends the writing: from then on Append returns its error, and [Writer.Stats] tells how
// many lines were not written. What the failed write left of a frame is removed if the file allows it.
type Writer struct {
	opts WriterOptions
	cut  *Cut
	sink sink // used by the background goroutine only, until it is done

	mu     sync.Mutex // guards what follows, and sending to out
	open   *batch     // gathers lines
	since  time.Time  // when open got its first line
	timer  *time.Timer
	closed bool

	out  chan *batch
	free chan *batch
	done chan struct{}

	lines, flushed, bytes atomic.Int64
	err                   atomic.Pointer[error]
}

// A batch is the text of one frame.
type batch struct {
	text    []byte
	lines   int64
	sync    bool          // sync after writing it
	written chan struct{} // closed when the batch was dealt with, unless nil
}

// Stats count what a [Writer] did since it was opened.
type Stats struct {
	Lines        int64 // accepted by Append
	FlushedLines int64 // written to the file, in the order of Append: they survive a kill
	Bytes        int64 // written to files
}

// Create begins a journal at path: a lone file if [IsFile] says so, else a folder, which is made if needed, with
// segments of that prefix. It fails with an error that wraps [os.ErrExist] when lines are there already and
// opts.Append is not set, and with one that wraps [ErrLocked] when another Writer has the journal open. Nothing of
// either sort is left behind by a process that was killed.
//
// Locks work on Linux, macOS and the BSDs; elsewhere there are none.
func Create(path, prefix string, opts WriterOptions) (*Writer, error) {
	opts = opts.withDefaults()
	if IsFile(path) {
		s, cut, err := openFileSink(path, opts)
		if err != nil {
			return nil, err
		}
		return start(s, cut, opts), nil
	}
	s, cut, err := openFolderSink(path, prefix, opts)
	if err != nil {
		return nil, err
	}
	return start(s, cut, opts), nil
}

// NewWriter returns a Writer that writes plain lines to out, or encrypted frames if there are recipients. It does not
// close out. The whole lines of a batch are one call of its Write.
func NewWriter(out io.Writer, opts WriterOptions) *Writer {
	s := &streamSink{w: out}
	var err error
	if len(opts.Recipients) > 0 {
		s.form, err = newForm(sealed, opts.Recipients)
	}
	w := start(s, nil, opts.withDefaults())
	w.fail(err)
	return w
}

func start(s sink, cut *Cut, opts WriterOptions) *Writer {
	w := &Writer{
		opts: opts, cut: cut, sink: s, open: &batch{},
		out: make(chan *batch, 1), free: make(chan *batch, 3), done: make(chan struct{}),
	}
	w.timer = time.AfterFunc(opts.FlushAfter, w.expire)
	w.timer.Stop()
	go w.run()
	return w
}

// Cut returns what was cut off the end of the journal before lines were appended to it, nil for nothing.
func (w *Writer) Cut() *Cut { return w.cut }

// Append adds one line, which it does not keep. It waits only while the disk is two frames behind. A line that has a
// line end in it or more than [MaxLine] bytes is refused, without harm to others, by an error that wraps [ErrLine].
func (w *Writer) Append(line []byte) error {
	if len(line) > MaxLine {
		return fmt.Errorf("%w: its %d bytes are more than %d MiB", ErrLine, len(line), MaxLine>>20)
	}
	if bytes.IndexByte(line, '\n') >= 0 {
		return fmt.Errorf("%w: it has a line end in it", ErrLine)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.Err(); err != nil {
		return err
	}
	if w.closed {
		return fmt.Errorf("append to journal: %w", os.ErrClosed)
	}
	if w.open.lines > 0 && len(w.open.text)+len(line)+1 > w.opts.FrameBytes {
		w.handOver()
	}
	if w.open.lines == 0 {
		w.since = time.Now()
		w.timer.Reset(w.opts.FlushAfter)
	}
	w.open.text = append(append(w.open.text, line...), '\n')
	w.open.lines++
	w.lines.Add(1)
	if len(w.open.text) >= w.opts.FrameBytes {
		w.handOver()
	}
	return nil
}

// Flush returns when all lines appended before were written, so that a kill of the process no longer loses them.
func (w *Writer) Flush() error { return w.settle(false) }

// Sync returns when all lines appended before were synced to disk, so that a failure of the machine no longer loses
// them. Files need no Sync before Close.
func (w *Writer) Sync() error { return w.settle(true) }

func (w *Writer) settle(sync bool) error {
	written := make(chan struct{})
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return fmt.Errorf("flush journal: %w", os.ErrClosed)
	}
	w.open.sync, w.open.written = sync, written
	w.handOver()
	w.mu.Unlock()
	<-written
	return w.Err()
}

// Close writes what is left, syncs, and lets go of the journal. It returns the error that ended the writing, if any.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		w.handOver()
		w.timer.Stop()
		close(w.out)
	}
	w.mu.Unlock()
	<-w.done
	return w.Err()
}

// Err returns the error that ended the writing, nil while there is none.
func (w *Writer) Err() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Stats may be called at any time.
func (w *Writer) Stats() Stats {
	flushed := w.flushed.Load() // before lines, so that it is never more
	return Stats{Lines: w.lines.Load(), FlushedLines: flushed, Bytes: w.bytes.Load()}
}

// expire is called when a batch has waited long enough.
func (w *Writer) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The timer may have been too late to be stopped, and open be a later batch, which has its own time.
	if !w.closed && w.open.lines > 0 && time.Since(w.since) >= w.opts.FlushAfter {
		w.handOver()
	}
}

// handOver gives the open batch to the background goroutine and opens another one. w.mu must be held.
func (w *Writer) handOver() {
	if w.open.lines == 0 && w.open.written == nil {
		return
	}
	w.timer.Stop()
	w.out <- w.open
	select {
	case w.open = <-w.free:
	default:
		w.open = &batch{}
	}
}

// run writes batches until there are no more.
func (w *Writer) run() {
	defer close(w.done)
	syncTimer := time.NewTimer(syncEvery)
	syncTimer.Stop()
	unsynced := false
	for {
		select {
		case <-syncTimer.C:
			unsynced = false
			w.fail(w.sink.sync())
		case b, ok := <-w.out:
			if !ok {
				w.fail(w.sink.close())
				return
			}
			w.write(b)
			if !unsynced {
				unsynced = true
				syncTimer.Reset(syncEvery)
			}
		}
	}
}

// write writes one batch and makes it free for use again.
func (w *Writer) write(b *batch) {
	if b.lines > 0 && w.Err() == nil {
		n, err := w.sink.write(b.text)
		w.bytes.Add(int64(n))
		if err == nil {
			w.flushed.Add(b.lines)
		}
		w.fail(err)
	}
	if b.sync && w.Err() == nil {
		w.fail(w.sink.sync())
	}
	if b.written != nil {
		close(b.written)
	}
	if cap(b.text) > 4*w.opts.FrameBytes {
		b.text = nil // grown for one long line
	}
	*b = batch{text: b.text[:0]}
	select {
	case w.free <- b:
	default:
	}
}

// fail keeps the first error.
func (w *Writer) fail(err error) {
	if err != nil && w.err.Load() == nil {
		w.err.Store(&err)
	}
}
