package s3tap

import (
	"errors"
	"io"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"tandem/capture"
)

// A Sink takes what is captured. A [capture.Writer] of a folder is one.
type Sink interface {
	Write(*capture.Invocation) error
	// PutObject keeps the bytes of an object for good before it returns.
	PutObject(io.Reader) (sha256hex string, size int64, err error)
	// Sync returns when a failure of the machine can no longer lose what was written.
	Sync() error
}

// Options are what all ways in have in common. Client, Function and Sink are required.
type Options struct {
	Client   *s3.Client
	Function string // that the events are for
	Sink     Sink
	// NoObjects leaves the bytes of all objects out.
	NoObjects bool
	// MaxObjectSize is how large an object may be for its bytes to be kept: 100 MiB unless set, which is what a replay
	// can hand to a blob trigger.
	MaxObjectSize int64
	// Fetches is how many objects are read at once: 8 unless set. Each takes some hundred KiB of memory, whatever its
	// size.
	Fetches int
	// Stall is how long an object may send nothing before its request is given up: 30 s unless set.
	Stall time.Duration
	// MaxRetryDelay is the longest wait before an object that did not come whole is asked for again: 5 s unless set.
	MaxRetryDelay time.Duration
	// Identities open the recording that is gone on with, if it is encrypted.
	Identities []age.Identity
	// Logf is told what a user may want to know meanwhile, one thing at a time. Nil tells nobody.
	Logf func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	if o.MaxObjectSize <= 0 {
		o.MaxObjectSize = 100 << 20
	}
	if o.Fetches <= 0 {
		o.Fetches = 8
	}
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	if o.MaxRetryDelay <= 0 {
		o.MaxRetryDelay = 5 * time.Second
	}
	logf := o.Logf
	var mu sync.Mutex
	o.Logf = func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if logf != nil {
			logf(format, args...)
		}
	}
	return o
}

func (o *Options) validate() error {
	switch {
	case o.Client == nil, o.Sink == nil:
		return errors.New("capture s3: no client or no sink")
	case o.Function == "":
		return errors.New("capture s3: no function")
	}
	return nil
}

// NewClient returns a client for S3. Endpoint is the address of a store other than AWS's, else ""; such a store is
// given buckets in the path, because it has no names for them.
func NewClient(cfg aws.Config, endpoint string) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
			o.UsePathStyle = true
		}
		o.DisableLogOutputChecksumValidationSkipped = true // most uploads in parts have none that can be checked
	})
}
