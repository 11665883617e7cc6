package replay

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// HTTPOptions say what an HTTP client is for. The zero value works.
type HTTPOptions struct {
	InFlight int // requests at once to one host; default 8
	// MaxAnswer is the longest body, in bytes, that is read; default 20 MiB, the most that Lambda can
	// send at all.
	MaxAnswer int64
}

// NewHTTPClient returns a client for targets to share. It keeps a connection for each of the requests in flight,
// follows no redirects, and neither asks for nor undoes compression, because answers are kept as they came. Reading a
// body beyond the limit fails. It has no time-out of its own: the context of a request has it.
func NewHTTPClient(o HTTPOptions) *http.Client {
	if o.InFlight <= 0 {
		o.InFlight = 8
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 20 << 20
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0 // no bound over all hosts
	transport.MaxIdleConnsPerHost = o.InFlight
	transport.IdleConnTimeout = 30 * time.Second // below what front ends and load balancers keep
	transport.DisableCompression = true
	return &http.Client{
		Transport:     &limitedTransport{transport, o.MaxAnswer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A limitedTransport bounds the bodies of answers.
type limitedTransport struct {
	*http.Transport
	limit int64
}

func (t *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{resp.Body, t.limit, t.limit}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	limit, left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", b.limit)
	}
	return n, err
}
