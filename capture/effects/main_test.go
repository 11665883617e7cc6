package effects

import (
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tandem/capture"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The SDKs keep connections of http.DefaultTransport-like clients that nothing lets a test close.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// shop is a config as a user would write it.
var shop = Resources{
	"orders-bucket": {AWS: "s3://orders-staging", Azure: "azblob://ordersstg/orders"},
	"mail-queue":    {AWS: "sqs://mail", Azure: "azqueue://ordersstg/mail"},
	"stock-queue":   {AWS: "sqs://stock.fifo"},
}

func newServer(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Resources == nil {
		opts.Resources = shop
	}
	s, err := NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func listen(t *testing.T, s *Server) *Port {
	t.Helper()
	p, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newPort returns a port of a server of its own, which works on the tag "t".
func newWorkingPort(t *testing.T) (*Server, *Port) {
	t.Helper()
	s := newServer(t, Options{})
	p := listen(t, s)
	p.Begin("t")
	return s, p
}

// awsConfig is what an SDK makes of the environment that the port gives.
func awsConfig(t *testing.T, p *Port) aws.Config {
	t.Helper()
	for _, variable := range p.AWSEnv() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func s3Client(t *testing.T, p *Port) *s3.Client   { return s3.NewFromConfig(awsConfig(t, p)) }
func sqsClient(t *testing.T, p *Port) *sqs.Client { return sqs.NewFromConfig(awsConfig(t, p)) }

func connectionString(p *Port) string {
	return strings.TrimPrefix(p.AzureEnv()[0], "AzureWebJobsStorage=")
}

func blobClient(t *testing.T, p *Port) *azblob.Client {
	t.Helper()
	c, err := azblob.NewClientFromConnectionString(connectionString(p), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func queueClient(t *testing.T, p *Port, queue string) *azqueue.QueueClient {
	t.Helper()
	c, err := azqueue.NewQueueClientFromConnectionString(connectionString(p), queue, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantEffects takes what the tag "t" did.
func wantEffects(t *testing.T, s *Server, want ...capture.Effect) {
	t.Helper()
	w, ok := s.Take("t")
	if !ok {
		t.Fatal("the tag is not known")
	}
	if want == nil {
		want = []capture.Effect{}
	}
	if diff := cmp.Diff(want, w.Effects); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func text(s string) *capture.Body     { return &capture.Body{Text: &s} }
func jsonBody(s string) *capture.Body { return &capture.Body{JSON: []byte(s)} }

// must returns a function's value, and ends the test if there was an error instead.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
