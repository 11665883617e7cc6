package functions

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tandem/capture"
	"tandem/replay"
)

const getEvent = `{"httpMethod":"GET","path":"/o","headers":{"Authorization":"Bearer the client's own"}}`

// fireHTTP fires one event at a function that answers as handler does.
func fireHTTP(t *testing.T, opts HTTPOptions, handler http.HandlerFunc) (*capture.Outcome, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	opts.HTTP = replay.NewHTTPClient(replay.HTTPOptions{})
	defer opts.HTTP.CloseIdleConnections()
	opts.URL = server.URL + "/api{path}"
	target, err := NewHTTP(opts)
	if err != nil {
		t.Fatal(err)
	}
	return target.Fire(t.Context(), httpInvocation())
}

func httpInvocation() *capture.Invocation {
	return &capture.Invocation{
		ID: "i", Function: "f", Trigger: capture.TriggerHTTP, Format: capture.FormatALB, Event: []byte(getEvent),
	}
}

// issued gives out tokens that are good for the given times, one after the other, and then fails.
type issued struct {
	mu    sync.Mutex
	valid []time.Duration
	given int
}

func (i *issued) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.given == len(i.valid) {
		return azcore.AccessToken{}, errors.New("no more")
	}
	i.given++
	return azcore.AccessToken{
		Token: fmt.Sprint("token-", i.given), ExpiresOn: time.Now().Add(i.valid[i.given-1]),
	}, nil
}

func TestARequestHasTheKeyAndTheToken(t *testing.T) {
	for _, tt := range []struct {
		name               string
		opts               HTTPOptions
		key, authorization string
	}{
		{"neither", HTTPOptions{}, "", "Bearer the client's own"},
		{"a key", HTTPOptions{Key: "secret"}, "secret", "Bearer the client's own"},
		{"a token, in the place of the client's", HTTPOptions{
			Key: "secret", Credential: &issued{valid: []time.Duration{time.Hour}}, Scope: "s",
		}, "secret", "Bearer token-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := fireHTTP(t, tt.opts, func(_ http.ResponseWriter, r *http.Request) {
				if got := strings.Join(r.Header.Values("Authorization"), "|"); got != tt.authorization {
					t.Errorf("authorization %q", got)
				}
				if got := r.Header.Get("X-Functions-Key"); got != tt.key {
					t.Errorf("key %q", got)
				}
			})
			if err != nil || out.Status != capture.StatusOK {
				t.Errorf("got %+v, %v", out, err)
			}
		})
	}
}

func TestATokenIsRenewedBeforeItEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		valid []time.Duration
		want  []string // "" for none
	}{
		{"one is kept", []time.Duration{time.Hour}, []string{"token-1", "token-1", "token-1"}},
		{"one that soon ends is not used", []time.Duration{time.Minute, time.Hour}, []string{"token-1", "token-2", "token-2"}},
		{"one that soon ends is better than none", []time.Duration{time.Minute}, []string{"token-1", "token-1"}},
		{"one that has ended is not", []time.Duration{-time.Second}, []string{"token-1", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tokens := newTokens(&issued{valid: tt.valid}, "s")
			for i, want := range tt.want {
				if got, err := tokens.get(t.Context()); got != want || (err != nil) != (want == "") {
					t.Errorf("%d: %q, %v; want %q", i, got, err, want)
				}
			}
		})
	}
}

func TestATokenIsGotOnceForAllWhoWait(t *testing.T) {
	credential := &issued{valid: []time.Duration{time.Hour}}
	tokens := newTokens(credential, "s")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := tokens.get(t.Context()); got != "token-1" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	all.Wait()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tokens.turn <- struct{}{}
	if _, err := tokens.get(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits does not end with its context: %v", err)
	}
}

func TestRefusedTokensAreAMistakeOfTheSetup(t *testing.T) {
	easyAuth := `Bearer realm="app.azurewebsites.net" authorization_uri="https://login.windows.net/t/oauth2/authorize" resource_id="r"`
	for _, tt := range []struct {
		name      string
		entra     bool
		status    int
		challenge string
		body      string
		want      string // of the error; "" for an answer
		setup     bool
	}{
		{"of the platform", true, 401, easyAuth, "", "is api://app among the audiences", true},
		{"of the platform, which nobody was told of", false, 401, easyAuth, "", "set entra", true},
		{"of an identity that is not admitted", true, 403, "", easyAuthText + ".", "among those that it admits?", true},
		{"of either", true, 401, `Bearer error="invalid_token"`, "", "whether it ran is not known", false},
		{"of the function", false, 401, `Bearer error="invalid_token"`, "", "", false},
		{"of the function, by another scheme", true, 401, `Basic realm="x"`, "", "", false},
		{"of the function, with no more words", true, 403, "", "no", "", false},
		{"an answer", true, 200, easyAuth, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opts HTTPOptions
			if tt.entra {
				opts.Credential, opts.Scope = &issued{valid: []time.Duration{time.Hour}}, "api://app/.default"
			}
			out, err := fireHTTP(t, opts, func(w http.ResponseWriter, _ *http.Request) {
				if tt.challenge != "" {
					w.Header().Set("WWW-Authenticate", tt.challenge)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			var setup *replay.SetupError
			switch {
			case tt.want == "":
				if err != nil || out.HTTP.Status != tt.status {
					t.Errorf("got %+v, %v", out, err)
				}
			case err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &setup) != tt.setup:
				t.Errorf("got %+v, %v", out, err)
			case strings.Contains(err.Error(), "token-1"):
				t.Errorf("the error has the token: %v", err)
			}
		})
	}
}

func TestATokenIsNotSentInTheClear(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://app.azurewebsites.net/api{path}": true, "http://127.0.0.1:7071/{id}": true, "http://localhost/": true,
		"http://app.azurewebsites.net/api{path}": false, "http://10.0.0.1/?code=secret": false, "http://%/?code=secret": false,
	} {
		_, err := NewHTTP(HTTPOptions{URL: address, Credential: &issued{}, Scope: "s"})
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// authority is what Entra ID says of itself and answers to clients that have a secret.
func authority(t *testing.T, grant func(scope, secret string) (status int, doc map[string]any)) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	answer := func(w http.ResponseWriter, status int, doc map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(doc)
	}
	mux.HandleFunc("GET /tenant/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{
			"issuer": server.URL + "/tenant/v2.0", "token_endpoint": server.URL + "/tenant/oauth2/v2.0/token",
			"authorization_endpoint": server.URL + "/tenant/oauth2/v2.0/authorize",
		})
	})
	mux.HandleFunc("POST /tenant/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		status, doc := grant(r.PostFormValue("scope"), r.PostFormValue("client_secret"))
		answer(w, status, doc)
	})
	return server
}

// TestTokensComeFromEntraID has the SDK's default credentials find a client's secret in the environment.
func TestTokensComeFromEntraID(t *testing.T) {
	var grants int
	server := authority(t, func(scope, secret string) (int, map[string]any) {
		grants++
		if secret != "right" {
			return http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: no."}
		}
		if !strings.Contains(scope, "api://app/.default") {
			t.Errorf("scope %q", scope)
		}
		return http.StatusOK, map[string]any{"token_type": "Bearer", "access_token": "from-entra", "expires_in": 3600}
	})
	credential := func(secret string) azcore.TokenCredential {
		t.Setenv("AZURE_TENANT_ID", "tenant")
		t.Setenv("AZURE_CLIENT_ID", "client")
		t.Setenv("AZURE_CLIENT_SECRET", secret)
		t.Setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
		client := replay.NewHTTPClient(replay.HTTPOptions{TLS: &tls.Config{
			RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		}})
		t.Cleanup(client.CloseIdleConnections)
		c, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: azcore.ClientOptions{
				Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: server.URL},
				Transport: client, Retry: policy.RetryOptions{MaxRetries: -1},
			},
			DisableInstanceDiscovery: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	app := func(_ http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer from-entra" {
			t.Errorf("authorization %q", got)
		}
	}
	out, err := fireHTTP(t, HTTPOptions{Credential: credential("right"), Scope: "api://app/.default"}, app)
	if err != nil || out.Status != capture.StatusOK || grants != 1 {
		t.Fatalf("%d grants: %+v, %v", grants, out, err)
	}
	_, err = fireHTTP(t, HTTPOptions{Credential: credential("wrong-secret"), Scope: "api://app/.default"},
		func(http.ResponseWriter, *http.Request) { t.Error("it was sent without a token") })
	var setup *replay.SetupError
	if !errors.As(err, &setup) || !strings.Contains(err.Error(), "AADSTS7000215") ||
		strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("error %v", err)
	}
}

func TestAFunctionThatRefusesItselfIsNotFiredAgain(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, after string
		throttled                bool
	}{
		{"the platform", "", "3", true},
		{"the front end's page", "text/html", "3", true},
		{"the function, in JSON", "application/json; charset=utf-8", "3", false},
		{"the function, in problem details", "application/problem+json", "3", false},
		{"nobody says when to come back", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := fireHTTP(t, HTTPOptions{}, func(w http.ResponseWriter, _ *http.Request) {
				if tt.contentType != "" {
					w.Header().Set("Content-Type", tt.contentType)
				}
				if tt.after != "" {
					w.Header().Set("Retry-After", tt.after)
				}
				w.WriteHeader(http.StatusTooManyRequests)
			})
			var throttled *replay.ThrottledError
			if errors.As(err, &throttled) != tt.throttled || !tt.throttled && (out == nil || out.HTTP.Status != 429) {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}
