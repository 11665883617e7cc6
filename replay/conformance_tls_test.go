package replay_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/capture"
	"tandem/replay"
)

func TestNothingIsSentToAServerThatCannotShowWhoItIs(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name      string
		host      string
		until     time.Time
		untrusted bool
		want      string // in the error; "" when all is well
	}{
		{"a certificate that is good", "127.0.0.1", now.Add(time.Hour), false, ""},
		{"an authority that nobody knows", "127.0.0.1", now.Add(time.Hour), true, "unknown authority"},
		{"a certificate that is over", "127.0.0.1", now.Add(-time.Hour), false, "expired"},
		{"another host's certificate", "127.0.0.2", now.Add(time.Hour), false, "valid for 127.0.0.2"},
	}
	for _, tt := range tests {
		certificate, root := issue(t, tt.host, tt.until)
		if tt.untrusted {
			root = x509.NewCertPool()
		}
		for _, c := range contenders {
			t.Run(c.name+"/"+tt.name, func(t *testing.T) {
				var requests atomic.Int32
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					c.well(w, r)
				}))
				server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
				server.Config.ErrorLog = log.New(io.Discard, "", 0)
				server.StartTLS()
				defer server.Close()
				client := replay.NewHTTPClient(replay.HTTPOptions{TLS: &tls.Config{RootCAs: root}})
				defer client.CloseIdleConnections()
				target, err := c.make(server.URL, client)
				if err != nil {
					t.Fatal(err)
				}
				out, err := target.Fire(t.Context(), c.inv)
				switch {
				case err != nil:
					t.Errorf("error %v", err)
				case tt.want == "" && (out.Status != capture.StatusOK || requests.Load() != 1):
					t.Errorf("%d requests, %+v", requests.Load(), out)
				case tt.want != "" && (out.Status != capture.StatusTransport || requests.Load() != 0 ||
					!strings.Contains(out.Error.Message, tt.want)):
					t.Errorf("%d requests, %s: %+v; want none, and %q", requests.Load(), out.Status, out.Error, tt.want)
				}
			})
		}
	}
}

// issue makes a certificate for an IP address, and the pool of the authority that signed it.
func issue(t *testing.T, host string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	pool := x509.NewCertPool()
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	if signed, err = x509.CreateCertificate(rand.Reader, leaf, parsed, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, pool
}
