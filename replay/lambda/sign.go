package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"tandem/replay"
)

// Services that requests are signed for.
const (
	serviceURL     = "lambda"      // a Function URL
	serviceGateway = "execute-api" // an API Gateway
)

// Signing says how requests are signed with Signature Version 4, for functions that IAM guards. All fields are
// needed.
type Signing struct {
	Service     string // "lambda" for a Function URL, "execute-api" for an API Gateway
	Region      string
	Credentials aws.CredentialsProvider // keeps what it gets until it ends, as those of aws.Config do
}

// sign signs r as it is, with its query's spaces written as %20: what a + stands for is not the same to all who read
// one. Of its headers those are signed that have to be: others may change on the way. The path and the query go as
// they are, and are signed as the service writes them: the path escaped once more, the query decoded, escaped and
// sorted. An error is a [*replay.SetupError] unless the request's context has ended.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
func (s *Signing) sign(r *http.Request, body []byte) error {
	ctx := r.Context()
	keys, err := s.Credentials.Retrieve(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &replay.SetupError{Err: fmt.Errorf("no AWS credentials to sign with: %w", err)}
	}
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "+", "%20")
	address := *r.URL // whose query the signer writes anew
	bare := &http.Request{Method: r.Method, URL: &address, Host: r.Host, Header: make(http.Header)}
	if media := r.Header[strings.ToLower("Content-Type")]; len(media) == 1 {
		bare.Header.Set("Content-Type", media[0])
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(ctx, keys, bare, hex.EncodeToString(sum[:]), s.Service, s.Region, time.Now())
	if err != nil {
		return &replay.SetupError{Err: fmt.Errorf("sign for %s in %s: %w", s.Service, s.Region, err)}
	}
	r.Host = bare.Host // without a port that goes without saying
	for name, values := range bare.Header {
		r.Header[strings.ToLower(name)] = values
	}
	return nil
}

// checkSignable refuses URLs that a service may read in another way than the signer does, and would then refuse.
func checkSignable(u *url.URL) error {
	for segment := range strings.SplitSeq(u.EscapedPath()[min(1, len(u.EscapedPath())):], "/") {
		if segment == "." || segment == ".." {
			return fmt.Errorf("a path with %s in it cannot be signed", segment)
		}
	}
	if strings.Contains(u.EscapedPath(), "//") {
		return errors.New("a path with // in it cannot be signed")
	}
	if u.RawQuery == "" {
		return nil
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil || slices.Contains(strings.Split(u.RawQuery, "&"), "") {
		return errors.New("a query with ; or with empty parameters cannot be signed")
	}
	return nil
}
