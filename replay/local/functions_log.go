package local

import (
	"bytes"
	"fmt"
)

// A hostLog is where the Functions host and its handlers write whole lines.
type hostLog struct{ lines *lineWriter }

// printf writes a line of the host's own.
func (l hostLog) printf(format string, args ...any) {
	l.lines.write(fmt.Appendf(nil, "[host] "+format+"\n", args...))
}

// prefixed returns a writer for what a handler writes.
func (l hostLog) prefixed(name string) *handlerLog {
	return &handlerLog{lines: l.lines, prefix: "[" + name + "] "}
}

// A handlerLog puts a prefix before each line. It is not safe for concurrent use.
type handlerLog struct {
	lines  *lineWriter
	prefix string
	line   []byte // what has come of a line that has not ended
}

func (l *handlerLog) Write(p []byte) (int, error) {
	l.line = append(l.line, p...)
	for {
		line, rest, found := bytes.Cut(l.line, []byte("\n"))
		if !found && len(l.line) <= maxLine {
			return len(p), nil
		}
		l.lines.write(fmt.Appendf(nil, "%s%s\n", l.prefix, line))
		l.line = append(l.line[:0], rest...)
	}
}

// end writes what is left of the last line, once the process has ended.
func (l *handlerLog) end() {
	if len(l.line) > 0 {
		l.Write([]byte("\n")) //nolint:errcheck // it never fails
	}
}
