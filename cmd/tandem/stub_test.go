package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// stub is a program that stands in for both deployments of a function: it answers the Invoke API as a Lambda function
// behind an API Gateway would, and everything else as the function's port. Both say which path they were asked for;
// only the port adds a field when the path has "differ" in it.
func stub() {
	hold := flag.Int64("hold", 0, "the invocation, counted from 1, that waits until /release is asked for")
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "stub on http://%s\n", l.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(l, newStubHandler(*hold)))
	os.Exit(1)
}

// newStubHandler is stub's, which also serves tests in their own process.
func newStubHandler(hold int64) http.Handler {
	var invocations atomic.Int64
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			RawPath string `json:"rawPath"`
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if invocations.Add(1) == hold {
			fmt.Fprintln(os.Stderr, "holding")
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}
		answer, _ := json.Marshal(map[string]any{
			"statusCode": 200, "headers": map[string]string{"content-type": "application/json"},
			"body": fmt.Sprintf(`{"path":%q}`, event.RawPath),
		})
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		_, _ = w.Write(answer)
	})
	mux.HandleFunc("GET /release", func(http.ResponseWriter, *http.Request) { release() })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		more := ""
		if strings.Contains(r.URL.Path, "differ") {
			more = `,"also":1`
		}
		fmt.Fprintf(w, `{"path":%q%s}`, r.URL.Path, more)
	})
	return mux
}

// peak is a program that runs another: peak FILE PROGRAM ARG… leaves the most memory, in bytes, that it had resident in
// FILE. A process starts with the peak of the one that started it, so tests cannot look for themselves.
func peak() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.WriteFile(os.Args[1], fmt.Append(nil, peakResident(cmd.ProcessState)), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// invoke is a program that calls a function through the AWS SDK: invoke URL NAME PAYLOAD.
func invoke() {
	client := lambda.New(lambda.Options{
		BaseEndpoint: &os.Args[1], Region: "us-east-1", Credentials: aws.AnonymousCredentials{},
	})
	out, err := client.Invoke(context.Background(), &lambda.InvokeInput{
		FunctionName: &os.Args[2], Payload: []byte(os.Args[3]),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d %s %s\n%s", out.StatusCode, aws.ToString(out.ExecutedVersion), aws.ToString(out.FunctionError), out.Payload)
}
