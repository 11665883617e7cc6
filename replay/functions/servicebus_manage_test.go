package functions

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"tandem/replay"
)

// detour sends all requests to one server.
type detour struct {
	http.RoundTripper
	to *url.URL
}

func (d detour) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = d.to.Scheme, d.to.Host
	return d.RoundTripper.RoundTrip(r)
}

func TestAQueueThatForwardsIsRefusedWhereItMayBeAsked(t *testing.T) {
	const entry = `<entry xmlns="http://www.w3.org/2005/Atom"><title type="text">q</title><content type="application/xml">
		<QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">%s
		</QueueDescription></content></entry>`
	for _, tt := range []struct {
		name, settings, want string
		status               int
	}{
		{"it does not", "<LockDuration>PT1M</LockDuration>", "", 200},
		{"its messages", "<ForwardTo>https://ns/other</ForwardTo>", "forwards its messages", 200},
		{"its dead letters", "<ForwardDeadLetteredMessagesTo>other</ForwardDeadLetteredMessagesTo>", "forwards its dead letters", 200},
		{"nobody may ask", "", "", 401},
		{"the service is down", "", "", 503},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/q" || r.Header.Get("Authorization") == "" {
				t.Errorf("%s: asked for %s", tt.name, r.URL)
			}
			w.WriteHeader(tt.status)
			fmt.Fprintf(w, entry, tt.settings)
		}))
		to, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{}
		b, err := NewServiceBus(ServiceBusOptions{
			Connection: anyConnection, Name: "q", HTTP: &http.Client{Transport: detour{transport, to}},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = b.inspect(t.Context())
		var setup *replay.SetupError
		if (tt.want == "") != (err == nil) || err != nil && (!errors.As(err, &setup) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		transport.CloseIdleConnections()
		server.Close()
	}
}
