package replay

import (
	"crypto/tls"
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
	TLS       *tls.Config // default: the system's certificates
}

// NewHTTPClient returns a client for targets to share. It speaks HTTP/1.1, keeps a connection for each of the
// requests in flight, sends no request twice, follows no redirects, and neither asks for nor undoes compression,
// because answers are kept as they came. Reading a body beyond the limit fails. It has no time-out of its own: the
// context of a request has it.
//
// Where the environment names a proxy, and on Windows, net/http's transport takes its place. That one sends a request
// again that it takes for safe; the targets make theirs so that it takes none for that.
func NewHTTPClient(o HTTPOptions) *http.Client {
	if o.InFlight <= 0 {
		o.InFlight = 8
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 20 << 20
	}
	fallback := http.DefaultTransport.(*http.Transport).Clone()
	fallback.MaxIdleConns = 0 // no bound over all hosts
	fallback.MaxIdleConnsPerHost = o.InFlight
	fallback.IdleConnTimeout = maxIdle
	fallback.DisableCompression = true
	if o.TLS != nil {
		fallback.TLSClientConfig = o.TLS.Clone()
	}
	return &http.Client{
		Transport: &limitedTransport{
			direct: wire{tls: o.TLS, perHost: o.InFlight}, fallback: fallback, limit: o.MaxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// maxIdle is how long a connection is kept that nothing is sent on: less than front ends and load balancers keep it.
const maxIdle = 30 * time.Second

// A limitedTransport bounds the bodies of answers.
type limitedTransport struct {
	direct   wire
	fallback *http.Transport
	limit    int64
}

func (t *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var resp *http.Response
	proxy, err := http.ProxyFromEnvironment(req)
	switch {
	case err != nil || proxy != nil || !wired:
		resp, err = t.fallback.RoundTrip(req)
	default:
		resp, err = t.direct.roundTrip(req)
	}
	if err != nil {
		return nil, err
	}
	resp.Body = &limitedBody{resp.Body, t.limit, t.limit}
	return resp, nil
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (t *limitedTransport) CloseIdleConnections() {
	t.direct.closeIdle()
	t.fallback.CloseIdleConnections()
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
		return 0, tooLong(b.limit)
	}
	return n, err
}

func tooLong(limit int64) error { return fmt.Errorf("the answer is longer than %d bytes", limit) }
