package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCaptureHTTPServesTLSWithTheCertificateThatItIsGiven(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto) //nolint:errcheck // the test would notice
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	defer upstream.Close()
	dir := t.TempDir()
	trusted := filepath.Join(dir, "upstream.pem")
	writePEM(t, trusted, "CERTIFICATE", upstream.Certificate().Raw)
	roots := selfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))

	p, err := startProcess(dir, append(os.Environ(), "SSL_CERT_FILE="+trusted), lean(), "capture", "http", "--addr", "127.0.0.1:0",
		"--tls-cert", "cert.pem", "--tls-key", "key.pem", "--to", upstream.URL, "--function", "f", "-o", "f.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	address, err := p.await(regexp.MustCompile(` on (https://\S+) to `))
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: protocol == "HTTP/2.0"}
		resp, err := (&http.Client{Transport: transport}).Get(address + "/" + protocol)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		transport.CloseIdleConnections()
		if err != nil || resp.Proto != protocol || string(body) != "HTTP/2.0" {
			t.Errorf("the proxy spoke %s, and %s to the upstream (%v)", resp.Proto, body, err)
		}
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, err := p.finish(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	lines, err := os.ReadFile(filepath.Join(dir, "f.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for line := range strings.Lines(string(lines)) {
		var inv struct{ Event struct{ RawPath string } }
		if err := json.Unmarshal([]byte(line), &inv); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, inv.Event.RawPath)
	}
	slices.Sort(paths) // an answer may be with its client before it is recorded
	if got := strings.Join(paths, " "); got != "/HTTP/1.1 /HTTP/2.0" {
		t.Errorf("recorded %s", got)
	}
}

func TestCaptureHTTPRefusesACertificateThatItCannotUse(t *testing.T) {
	dir := t.TempDir()
	cert, key, other := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	selfSigned(t, cert, key)
	selfSigned(t, filepath.Join(dir, "unused.pem"), other)
	for _, test := range []struct {
		name, cert, key, says string
	}{
		{"there is no such file", filepath.Join(dir, "none.pem"), key, "none.pem: no such file"},
		{"the key is another's", cert, other, "does not match"},
		{"a certificate alone does not do", cert, "", "tls-key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rec := filepath.Join(dir, "f.rec")
			args := []string{"capture", "http", "--addr", "127.0.0.1:0", "--to", "http://127.0.0.1:1", "--function", "f", "-o", rec,
				"--tls-cert", test.cert}
			if test.key != "" {
				args = append(args, "--tls-key", test.key)
			}
			code, _, stderr := call(t, args...)
			if code != 2 || !strings.Contains(stderr, test.says) {
				t.Errorf("exit code %d, stderr %s", code, stderr)
			}
			if _, err := os.Stat(rec); err == nil {
				t.Error("it left a recording behind")
			}
		})
	}
}

// selfSigned makes a certificate for 127.0.0.1 and its key, and returns who trusts it.
func selfSigned(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", cert)
	writePEM(t, keyFile, "PRIVATE KEY", keyBytes)
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return pool
}

func writePEM(t *testing.T, path, kind string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
}
