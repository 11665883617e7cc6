package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// answer is what the server says to everything: as much as a small API does.
const answer = `{"orderId":"A-1002","customer":"c-17","lines":[{"sku":"A1","quantity":2,"price":12.50}],"total":25.00,` +
	`"currency":"EUR","status":"accepted"}`

// serve serves HTTP and Lambda's Invoke API until its stdin is closed, and says on stdout where.
func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
	}()
	invoked := fmt.Sprintf(`{"statusCode":201,"headers":{"content-type":"application/json"},"body":%q}`, answer)
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/2015-03-31/") {
			_, _ = io.WriteString(w, invoked)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, answer)
	}))
	return nil // it was asked to end
}
