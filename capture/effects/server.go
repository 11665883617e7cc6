package effects

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Options say how a [Server] works. The zero value is usable.
type Options struct {
	Resources Resources
	// Account is the Azure storage account of the connection strings that ports give; "devstoreaccount1" by default.
	Account string
	// Region is the AWS region that ports give; "us-east-1" by default.
	Region string
	// MaxBody is the largest request body in bytes; 64 MiB by default. Objects of several parts may be larger.
	MaxBody int64
	// MaxTags is how many invocations are kept whose work nobody has taken; 10,000 by default. Beyond that the oldest
	// are dropped, as in a replay that was told to watch effects and then never asks for them.
	MaxTags int
}

func (o *Options) fillIn() {
	if o.Account == "" {
		o.Account = "devstoreaccount1" // the account that Azure's tools take for a local one
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 64 << 20
	}
	if o.MaxTags <= 0 {
		o.MaxTags = 10_000
	}
}

// A Server is the recording endpoint of one side. Its methods may be called from several goroutines.
type Server struct {
	opts      Options
	directory directory

	mu        sync.Mutex
	state     state
	ledger    ledger
	uploads   map[string]*upload
	blocks    map[ref]map[string][]byte // uncommitted blocks of Blob storage, by ID
	sequence  uint64                    // of SQS messages in FIFO queues
	sqsQueues map[string]bool           // that a client created
	ports     []*Port
	closed    bool
}

// NewServer returns a server without ports. It fails if the resources are not valid.
func NewServer(opts Options) (*Server, error) {
	opts.fillIn()
	d, err := newDirectory(opts.Resources)
	if err != nil {
		return nil, err
	}
	return &Server{
		opts: opts, directory: d, state: newState(), ledger: newLedger(opts.MaxTags),
		uploads: make(map[string]*upload), blocks: make(map[ref]map[string][]byte), sqsQueues: make(map[string]bool),
	}, nil
}

// Listen opens a port on the loopback interface, for one environment or handler process.
func (s *Server) Listen() (*Port, error) { return s.ListenOn("127.0.0.1:0") }

// ListenOn opens a port at an address that is known beforehand, for those who prepare the state or look at it.
func (s *Server) ListenOn(addr string) (*Port, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("recording endpoint: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(errors.New("recording endpoint: listen after close"), l.Close())
	}
	p := newPort(s, l)
	s.ports = append(s.ports, p)
	return p, nil
}

// Take returns what the invocation of that tag did, and forgets it. ok is false if no port ever worked on it, or it
// was taken or dropped before.
func (s *Server) Take(tag string) (w Work, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.take(tag)
}

// MessageTag is the tag of what a function does that a queue fires: no mark can travel in a message without changing
// it, so the message's ID in that queue stands for it. Delivery counts from 1.
func MessageTag(id string, delivery int) string { return fmt.Sprintf("message:%s:%d", id, delivery) }

// BlobTag is the tag of what a function does that a blob fires: that upload of it stands for the invocation. Delivery
// is that of the host's own message about it, and counts from 1.
func BlobTag(container, name, etag string, delivery int) string {
	return fmt.Sprintf("blob:%s/%s#%s:%d", container, name, strings.Trim(etag, `"`), delivery)
}

// Stats returns what was counted until now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.ledger.stats
	stats.UnsupportedOperations = slices.Clone(stats.UnsupportedOperations)
	return stats
}

// Close closes all ports. What was recorded can still be taken.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	ports := slices.Clone(s.ports)
	s.mu.Unlock()
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

func (s *Server) forget(p *Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = slices.DeleteFunc(s.ports, func(q *Port) bool { return q == p })
}

// effectsPath is where Handler serves and Client asks.
const effectsPath = "/tandem/effects"

// Handler serves GET /tandem/effects?tag=TAG, which answers a [Work] as JSON and forgets it, or 404 if the tag is
// not known. [Client] is its counterpart. It is not part of any port, so that functions cannot reach it.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+effectsPath, func(w http.ResponseWriter, r *http.Request) {
		work, ok := s.Take(r.URL.Query().Get("tag"))
		if !ok {
			http.Error(w, "no such tag", http.StatusNotFound)
			return
		}
		var doc bytes.Buffer
		enc := json.NewEncoder(&doc)
		enc.SetEscapeHTML(false) // bodies come back as they were
		if err := enc.Encode(work); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doc.Bytes()) // a client that is gone has nobody to tell
	})
	return mux
}

// job returns the job of tag, or nil for the tag that names nothing.
func (s *Server) job(tag string) *job {
	if tag == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.open(tag)
}
