// Command oneshot is a Lambda runtime that echoes, and opens a connection for each request, as a shell script with
// curl does.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		if err := serveOne(&client, base); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func serveOne(client *http.Client, base string) error {
	resp, err := client.Get(base + "next")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	event, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
	posted, err := client.Post(base+id+"/response", "application/json", bytes.NewReader(event))
	if err != nil {
		return err
	}
	return posted.Body.Close()
}
