package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// goReplay imports a file of GoReplay: requests, joined with the answers that the recorded server gave. What was
// answered to a replay of GoReplay's own is no evidence of that, and is passed over.
func (im *importer) goReplay(from origin, in *bufio.Reader) error {
	p := &pairing{im: im, open: make(map[string][]*waiting)}
	records := gorRecords{in: in, line: 1}
	for {
		record, line, err := records.next()
		from.line = line
		switch {
		case im.ctx.Err() != nil:
			return im.ctx.Err()
		case err == bufio.ErrTooLong:
			im.result.Events++
			im.refuse(from, tooLarge)
			continue
		case err != nil && err != io.EOF:
			return errors.Join(p.flush(), im.damaged(from, err))
		}
		if len(bytes.TrimSpace(record)) > 0 {
			if err := p.record(from, record); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
	}
	if p.replayed > 0 {
		im.note(origin{path: from.path}, Skipped,
			fmt.Sprintf("%d answers to a replay of GoReplay, which are not those of the API", p.replayed))
	}
	return p.flush()
}

// Kinds of records. Source: https://github.com/buger/goreplay/blob/master/protocol.go.
const (
	gorRequest  = '1'
	gorAnswer   = '2'
	gorReplayed = '3'
)

// gorSeparator is the line that ends a record. The line end before it is not part of the record.
const gorSeparator = "🐵🙈🙉"

// goReplayHead is how a GoReplay file starts: the kind of the record, an ID and a time, then HTTP.
var goReplayHead = regexp.MustCompile(
	`^[123] [0-9A-Za-z-]{8,} \d+( -?\d+)? *\r?\n\s*([A-Z]+ \S+ HTTP/\d|HTTP/\d)`)

// gorRecords reads the records of a file.
type gorRecords struct {
	in   *bufio.Reader
	line int // the next one
}

// next returns the next record, in memory of its own, and the line that it begins in. What stands after the last
// separator comes with io.EOF. A record over maxEvent is read to its end and thrown away with bufio.ErrTooLong.
func (g *gorRecords) next() (record []byte, line int, err error) {
	line = g.line
	long := false
	for begun := false; ; { // begun: the piece goes on with a line
		piece, err := g.in.ReadSlice('\n')
		if err == nil {
			g.line++
		}
		if !begun && string(bytes.TrimSuffix(piece, []byte("\n"))) == gorSeparator {
			if long {
				return nil, line, bufio.ErrTooLong
			}
			return bytes.TrimSuffix(record, []byte("\n")), line, err
		}
		begun = err == bufio.ErrBufferFull
		if long = long || len(record)+len(piece) > maxEvent; !long {
			record = append(record, piece...)
		} else {
			record = nil
		}
		switch {
		case err == nil || begun:
		case err == io.EOF && long:
			return nil, line, bufio.ErrTooLong // the next call finds the end
		default:
			return trimSeparator(record), line, err
		}
	}
}

// trimSeparator takes off a separator that is cut off.
func trimSeparator(record []byte) []byte {
	i := bytes.LastIndexByte(record, '\n')
	if last := string(record[i+1:]); i >= 0 && last != "" && strings.HasPrefix(gorSeparator, last) {
		return record[:i]
	}
	return record
}

// A gorHead is the first line of a record.
type gorHead struct {
	kind byte
	id   string
	at   int64 // in nanoseconds since 1970; in answers of old versions, the time that they took
	// latency is in nanoseconds, -1 when there is none. In answers it is the time that the answer took to pass in
	// versions that also give one to requests, and the time from the request in others.
	latency int64
}

func parseGorHead(line []byte) (gorHead, error) {
	fields := strings.Fields(string(line))
	if len(fields) < 3 || len(fields[0]) != 1 || !strings.Contains("123", fields[0]) {
		return gorHead{}, errors.New("this is not the head of a GoReplay record")
	}
	h := gorHead{kind: fields[0][0], id: fields[1], latency: -1}
	var err error
	if h.at, err = strconv.ParseInt(fields[2], 10, 64); err != nil {
		return gorHead{}, errors.New("the record has no time")
	}
	if len(fields) > 3 {
		if h.latency, err = strconv.ParseInt(fields[3], 10, 64); err != nil {
			return gorHead{}, errors.New("the record's latency is not a number")
		}
	}
	return h, nil
}

// isTime says whether at is a time and not a duration: no answer takes a month.
func (h gorHead) isTime() bool { return h.at > int64(31*24*time.Hour) }

// took is the time from when a request was sent until its answer was read.
func took(request, answer gorHead) time.Duration {
	switch {
	case !answer.isTime():
		return time.Duration(answer.at)
	case request.latency < 0 && answer.latency >= 0:
		return time.Duration(answer.latency)
	}
	return time.Duration(answer.at + max(answer.latency, 0) - request.at)
}

// A message is a request as a server got it, with its body.
type message struct {
	request *http.Request
	body    []byte
}

// gorRequests reads the requests of a record. There is one, but GoReplay now and then leaves out the separator
// between those of one connection. The error says why what follows them is not a request; it has nothing of the
// contents.
func gorRequests(payload []byte) ([]message, error) {
	var all []message
	rest := bufio.NewReader(bytes.NewReader(payload))
	for skipLineEnds(rest) {
		r, err := http.ReadRequest(rest)
		if err != nil {
			return all, errors.New("it is not an HTTP/1 request")
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return all, fmt.Errorf("its body is cut off after %d bytes", len(body))
		}
		all = append(all, message{r, body})
	}
	if len(all) == 0 {
		return nil, errors.New("it has no request")
	}
	return all, nil
}

// skipLineEnds says whether there is anything else.
func skipLineEnds(in *bufio.Reader) bool {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return false
		}
		if b != '\r' && b != '\n' {
			return in.UnreadByte() == nil
		}
	}
}
