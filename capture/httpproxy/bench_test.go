package httpproxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/capture"
	"tandem/capture/httpproxy"
	"tandem/capture/redact"
)

// Calls go to a server directly and through the proxy, in turn. Reported is how long a call takes directly, and how much
// longer through the proxy, which records it into a folder and redacts it.
func BenchmarkAddedLatency(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.Copy(w, r.Body) //nolint:errcheck // the client would notice
	}))
	defer server.Close()
	upstream, err := url.Parse(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	redactor, err := redact.New(redact.Options{})
	if err != nil {
		b.Fatal(err)
	}
	w, err := capture.Create(filepath.Join(b.TempDir(), "f.rec"), capture.CreateOptions{Redactor: redactor})
	if err != nil {
		b.Fatal(err)
	}
	proxy, err := httpproxy.New(httpproxy.Options{Upstream: upstream, Function: "f", Sink: w})
	if err != nil {
		b.Fatal(err)
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	body := `{"items":"` + strings.Repeat("x", 2<<10) + `"}`
	var times [2][]time.Duration
	for range b.N {
		for k, url := range []string{server.URL, front.URL} {
			begin := time.Now()
			resp, err := http.Post(url+"/orders", "application/json", strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
			times[k] = append(times[k], time.Since(begin))
		}
	}
	if err := proxy.Close(); err != nil {
		b.Fatal(err)
	}
	if s := proxy.Stats(); s.Lost() > 0 {
		b.Errorf("%s", s)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	for i := range times {
		slices.Sort(times[i])
	}
	for name, q := range map[string]int{"p50": len(times[0]) / 2, "p99": len(times[0]) * 99 / 100} {
		b.ReportMetric(float64(times[0][q].Microseconds()), name+"-direct-us")
		b.ReportMetric(float64((times[1][q] - times[0][q]).Microseconds()), name+"-added-us")
	}
}
