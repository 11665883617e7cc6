package effects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"tandem/capture"
)

// ErrUnknownTag is the cause of a Client's error when the server never worked on the tag, or its work was taken.
var ErrUnknownTag = errors.New("the recording endpoint does not know the tag")

// A Client takes work from a [Server.Handler] elsewhere.
type Client struct {
	URL  string       // where the handler is, without /tandem/effects
	HTTP *http.Client // nil means http.DefaultClient
}

// Take is [Server.Take]. A tag that is not known is an error that wraps [ErrUnknownTag].
func (c *Client) Take(ctx context.Context, tag string) (Work, error) {
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	at := strings.TrimSuffix(c.URL, "/") + effectsPath + "?tag=" + url.QueryEscape(tag)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return Work{}, fmt.Errorf("take effects of %s: %w", tag, err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return Work{}, fmt.Errorf("take effects of %s: %w", tag, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing is lost by it
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return Work{}, fmt.Errorf("take effects of %s at %s: %w", tag, c.URL, ErrUnknownTag)
	default:
		return Work{}, fmt.Errorf("take effects of %s at %s: status %s", tag, c.URL, resp.Status)
	}
	w := Work{Effects: []capture.Effect{}}
	if err := json.NewDecoder(resp.Body).Decode(&w); err != nil {
		return Work{}, fmt.Errorf("take effects of %s at %s: %w", tag, c.URL, err)
	}
	return w, nil
}
