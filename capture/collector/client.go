package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"tandem/capture"
)

// A Client posts batches to a Server. Its methods may be called concurrently.
type Client struct {
	URL      *url.URL // of the server, with the path that it is mounted on
	Token    string   // "" for a server without one
	Instance string   // any text that is unique to one recorder
	// HTTP sends the requests; by default http.DefaultClient.
	HTTP *http.Client
}

// ErrRefused is wrapped by the errors about batches that the server will never take.
var ErrRefused = errors.New("refused")

// Send posts one batch, once, and the number of invocations that this recorder has lost so far. When it returns nil,
// the batch is durable. After an error it may be or not, and can be sent again.
func (c *Client) Send(ctx context.Context, batch []*capture.Invocation, lost int64) error {
	body, err := AppendBatch(nil, batch)
	if err != nil {
		return err
	}
	target := c.URL.JoinPath(path)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Content-Encoding", "zstd")
	req.Header.Set(HeaderInstance, c.Instance)
	req.Header.Set(HeaderLost, strconv.FormatInt(lost, 10))
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return redacted(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // what is missing of it is missing from a message
	err = fmt.Errorf("post to %s: %s: %s", target.Redacted(), resp.Status, strings.TrimSpace(string(text)))
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	default:
		return err
	}
}

// redacted takes a password out of an error about a request.
func redacted(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		if u, parseErr := url.Parse(about.URL); parseErr == nil {
			about.URL = u.Redacted()
		}
	}
	return err
}

// AppendBatch appends the lines of batch, as one zstd frame with a checksum, to dst. Such frames, one after the
// other, are a .jsonl.zst file that [capture.Open] reads. An invocation that has no form as a line is an error.
func AppendBatch(dst []byte, batch []*capture.Invocation) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	// Recorders have little memory, and lines are much alike: a small window is enough.
	encoder, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(256<<10), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return dst, err
	}
	var line []byte
	for _, inv := range batch {
		if line, err = inv.AppendJSON(line[:0]); err != nil {
			return dst, err
		}
		if _, err := encoder.Write(append(line, '\n')); err != nil {
			return dst, err
		}
	}
	if err := encoder.Close(); err != nil {
		return dst, err
	}
	return out.Bytes(), nil
}
