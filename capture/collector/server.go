package collector

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/klauspost/compress/zstd"

	"tandem/capture"
	"tandem/capture/journal"
)

// A Sink keeps invocations. A [capture.Writer] is one.
type Sink interface {
	Write(inv *capture.Invocation) error
	// Sync returns when all that was written before is safe from a failure of the machine.
	Sync() error
	AddLost(n int64)
}

// Options say what a Server does. Sink must be set.
type Options struct {
	Sink Sink
	// Token is what clients must know; "" lets all in.
	Token string
	// Failed is called when the recording could not be written, with the first error. All batches are refused from
	// then on, so that recorders keep what they have. Nil is allowed.
	Failed func(error)
	// Refuse returns why the server does not take an invocation, nil when it does. A batch with one that it does not
	// take is refused for good. Nil takes all.
	Refuse func(*capture.Invocation) error
}

// Stats count what a Server has done.
type Stats struct {
	Batches    int64 // that were taken
	Recorded   int64
	Duplicates int64 // invocations that had been recorded before
	Lost       int64 // that the recorders have told about
	TooLarge   int64 // invocations that no recording can hold; the Sink was told that they are lost
	Refused    int64 // requests that were answered with an error
}

func (s Stats) String() string {
	text := fmt.Sprintf("%d batches: %d recorded, %d lost by recorders, %d sent twice; %d requests refused",
		s.Batches, s.Recorded, s.Lost, s.Duplicates, s.Refused)
	if s.TooLarge > 0 {
		text += fmt.Sprintf("; %d lost here, too large for a recording", s.TooLarge)
	}
	return text
}

// remembered is how many of the last IDs and of the last recorders a server knows again, at 16 and about 60 bytes
// each. A batch is sent again within minutes.
const (
	rememberedIDs       = 1 << 18
	rememberedRecorders = 1 << 14
)

// A Server is an [http.Handler] that records what Clients send.
type Server struct {
	opts  Options
	token [sha256.Size]byte

	mu    sync.Mutex // held while a batch is written, so that a batch that comes twice is written once
	seen  *recent[struct{}]
	lost  *recent[int64] // what a recorder has told last
	stats Stats
	err   error // what the sink said first
}

// NewServer returns a Server.
func NewServer(opts Options) *Server {
	return &Server{
		opts: opts, token: sha256.Sum256([]byte("Bearer " + opts.Token)),
		seen: newRecent[struct{}](rememberedIDs), lost: newRecent[int64](rememberedRecorders),
	}
}

// Know tells that an invocation has been recorded before the server was made.
func (s *Server) Know(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.put(id, struct{}{})
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// An answer is what a batch that was taken gets.
type answer struct {
	Recorded   int `json:"recorded"`
	Duplicates int `json:"duplicates"`
}

// ServeHTTP takes POST /invocations and refuses everything else.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	done, status, err := s.take(w, r)
	if err != nil {
		s.mu.Lock()
		s.stats.Refused++
		s.mu.Unlock()
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(done) //nolint:errcheck // a client that went away asks again
}

// take handles one request. Status is what to answer with an error.
func (s *Server) take(w http.ResponseWriter, r *http.Request) (done answer, status int, err error) {
	authorization := sha256.Sum256([]byte(r.Header.Get("Authorization")))
	switch {
	case s.opts.Token != "" && subtle.ConstantTimeCompare(authorization[:], s.token[:]) != 1:
		return done, http.StatusUnauthorized, errors.New("wrong or missing token")
	case r.URL.Path != path:
		return done, http.StatusNotFound, fmt.Errorf("no such path: batches go to %s", path)
	case r.Method != http.MethodPost:
		return done, http.StatusMethodNotAllowed, errors.New("batches are posted")
	}
	var lost int64
	if count := r.Header.Get(HeaderLost); count != "" {
		if lost, err = strconv.ParseInt(count, 10, 64); err != nil || lost < 0 {
			return done, http.StatusBadRequest, fmt.Errorf("%s is not a count: %q", HeaderLost, count)
		}
	}
	text, err := readBody(http.MaxBytesReader(w, r.Body, MaxBatch), r.Header.Get("Content-Encoding"))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) || errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, errTooLarge) {
			return done, http.StatusRequestEntityTooLarge, fmt.Errorf("a batch has at most %d bytes", MaxBatch)
		}
		return done, http.StatusBadRequest, fmt.Errorf("the batch cannot be read: %w", err)
	}
	batch, err := parse(text)
	for _, inv := range batch {
		if err == nil && s.opts.Refuse != nil {
			err = s.opts.Refuse(inv)
		}
	}
	if err != nil {
		return done, http.StatusBadRequest, err
	}
	if done, err = s.record(batch, r.Header.Get(HeaderInstance), lost); err != nil {
		return done, http.StatusServiceUnavailable, fmt.Errorf("the recording cannot be written: %w", err)
	}
	return done, http.StatusOK, nil
}

var errTooLarge = errors.New("too large")

func readBody(body io.Reader, encoding string) ([]byte, error) {
	switch encoding {
	case "", "identity":
		return io.ReadAll(body)
	case "zstd":
	default:
		return nil, fmt.Errorf("encoding %q is not known", encoding)
	}
	decoder, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	text, err := io.ReadAll(io.LimitReader(decoder, MaxBatch+1))
	if err == nil && len(text) > MaxBatch {
		err = errTooLarge
	}
	return text, err
}

func parse(text []byte) ([]*capture.Invocation, error) {
	var batch []*capture.Invocation
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSuffix(line, []byte("\n")); len(line) == 0 {
			continue
		}
		inv, err := capture.ParseInvocation(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if strings.ContainsFunc(inv.ID, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return nil, fmt.Errorf("line %d: the ID %q has white space in it", n, inv.ID)
		}
		batch = append(batch, inv)
	}
	return batch, nil
}

// record returns when the batch is durable.
func (s *Server) record(batch []*capture.Invocation, instance string, lost int64) (answer, error) {
	done, err := s.write(batch)
	if err == nil {
		err = s.opts.Sink.Sync() // also for what another request has written and this one has found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.err == nil {
			s.err = err
			if s.opts.Failed != nil {
				s.opts.Failed(err)
			}
		}
		return answer{}, err
	}
	s.stats.Batches++
	s.stats.Recorded += int64(done.Recorded)
	s.stats.Duplicates += int64(done.Duplicates)
	if before, _ := s.lost.get(instance); lost > before {
		s.opts.Sink.AddLost(lost - before)
		s.stats.Lost += lost - before
		s.lost.put(instance, lost)
	}
	return done, nil
}

// write hands what is new in a batch to the sink.
func (s *Server) write(batch []*capture.Invocation) (done answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return done, s.err
	}
	for _, inv := range batch {
		if _, known := s.seen.get(inv.ID); known {
			done.Duplicates++
			continue
		}
		switch err := s.opts.Sink.Write(inv); {
		case err == nil:
			done.Recorded++
		case errors.Is(err, journal.ErrLine): // with tokens in it, which may be longer than what they stand for
			s.opts.Sink.AddLost(1)
			s.stats.TooLarge++
		default:
			return done, err
		}
		s.seen.put(inv.ID, struct{}{})
	}
	return done, nil
}
