// Command lambdafunction is a Lambda function that does what its event says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type order struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	N    int    `json:"n"`
	URL  string `json:"url"`
}

// seen counts the invocations of this environment.
var seen int

func handle(ctx context.Context, event json.RawMessage) (any, error) {
	seen++
	var o order
	_ = json.Unmarshal(event, &o) // other events are echoed
	switch o.Do {
	default:
		return event, nil
	case "count":
		return map[string]int{"pid": os.Getpid(), "seen": seen}, nil
	case "context":
		return describe(ctx)
	case "fail":
		return nil, errors.New(o.Text)
	case "panic":
		panic(o.Text)
	case "exit":
		os.Exit(o.N)
	case "kill":
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return nil, err
		}
		_ = self.Kill()
		select {}
	case "hang":
		fmt.Print("hanging")
		select {}
	case "get": // ask, and wait for the answer; with a text, fail then
		resp, err := http.Get(o.URL)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if o.Text != "" {
			err = errors.New(o.Text)
		}
		return string(body), err
	case "put", "put-exit": // an object
		if err := put(o.Text); err != nil {
			return nil, err
		}
		if o.Do == "put-exit" {
			os.Exit(1)
		}
	case "log":
		for i := range o.N {
			fmt.Fprintf(os.Stdout, "%s %d\n", o.Text, i)
		}
		fmt.Fprint(os.Stderr, "the end")
		return nil, nil
	case "big":
		return strings.Repeat("x", o.N), nil
	case "stream":
		return &events.LambdaFunctionURLStreamingResponse{StatusCode: 201, Body: strings.NewReader(o.Text)}, nil
	case "stream-fail":
		return io.MultiReader(strings.NewReader(o.Text), broken{}), nil
	}
	return nil, nil
}

// put writes an empty object as an S3 client would, but for the signature.
func put(key string) error {
	req, err := http.NewRequest(http.MethodPut, os.Getenv("AWS_ENDPOINT_URL")+"/bucket/"+key, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the stream broke") }

func describe(ctx context.Context) (any, error) {
	deadline, _ := ctx.Deadline()
	lc, _ := lambdacontext.FromContext(ctx)
	env := make(map[string]string)
	for _, line := range os.Environ() {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	return map[string]any{
		"requestId": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "client": lc.ClientContext.Custom,
		"left": time.Until(deadline).Milliseconds(), "env": env,
	}, nil
}

func main() {
	fmt.Println("initializing")
	switch os.Getenv("ON_START") {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(7)
	case "hang":
		select {}
	case "init-error":
		resp, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/init/error",
			"application/json", strings.NewReader(`{"errorType":"Config.Missing","errorMessage":"no TABLE"}`))
		if err != nil || resp.StatusCode != http.StatusAccepted {
			os.Exit(9)
		}
		os.Exit(1)
	}
	lambda.Start(handle)
}
