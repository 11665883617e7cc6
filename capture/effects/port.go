package effects

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Port is where one environment or handler process reaches the endpoint. What arrives at it belongs to the
// invocation that the environment works on.
type Port struct {
	srv  *Server
	addr string
	http *http.Server
	job  atomic.Pointer[job]
	wg   sync.WaitGroup
}

// newPort serves on l until the port is closed.
func newPort(s *Server, l net.Listener) *Port {
	p := &Port{srv: s, addr: l.Addr().String()}
	p.http = &http.Server{
		ReadHeaderTimeout: 30 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.serve(&call{srv: s, w: w, r: r, job: p.job.Load()})
		}),
	}
	p.wg.Go(func() { _ = p.http.Serve(l) }) // it always ends in an error, and only because of Close
	return p
}

// Addr returns the host and port.
func (p *Port) Addr() string { return p.addr }

// AWSEnv returns the environment variables that lead the AWS SDKs to the port.
func (p *Port) AWSEnv() []string {
	return []string{
		"AWS_ENDPOINT_URL=http://" + p.addr,
		"AWS_REGION=" + p.srv.opts.Region,
		"AWS_DEFAULT_REGION=" + p.srv.opts.Region,
		"AWS_ACCESS_KEY_ID=tandem",
		"AWS_SECRET_ACCESS_KEY=tandem",
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// AzureEnv returns the environment variable that leads the Azure SDKs, and the Functions host, to the port.
func (p *Port) AzureEnv() []string {
	return []string{"AzureWebJobsStorage=" + p.ConnectionString(p.srv.opts.Account)}
}

// ConnectionString returns a connection string for an account, for functions that use several. All accounts are
// served; requests to containers and queues are told apart by account where the config names both.
func (p *Port) ConnectionString(account string) string {
	return "DefaultEndpointsProtocol=http;AccountName=" + account + ";AccountKey=dGFuZGVt" + // base64 of "tandem"
		";BlobEndpoint=http://" + p.addr + "/blob/" + account +
		";QueueEndpoint=http://" + p.addr + "/queue/" + account
}

// Begin says that the environment starts to work on the invocation of that tag: a [capture.Mark]'s String, or a
// request ID. From now on the tag is known, even if the invocation does nothing. A tag that is known already, as in
// a retry, goes on.
func (p *Port) Begin(tag string) { p.job.Store(p.srv.job(tag)) }

// End says that the environment works on nothing.
func (p *Port) End() { p.job.Store(nil) }

// Close stops serving and cuts off the requests that are under way. Closing again does nothing.
func (p *Port) Close() error {
	p.srv.forget(p)
	err := p.http.Close()
	p.wg.Wait()
	return err
}
