// Command functionshandler is a custom handler whose functions behave well and badly, for tests.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

func main() {
	fmt.Println("handler starts")
	if file := os.Getenv("DIE_IF_EXISTS"); file != "" {
		if _, err := os.Stat(file); err == nil {
			log.Fatal("dies at start")
		}
	}
	if delay, err := time.ParseDuration(os.Getenv("START_DELAY")); err == nil {
		time.Sleep(delay)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/plain/", plain)
	mux.HandleFunc("/api/stream", stream)
	mux.HandleFunc("/api/meet", meet)
	mux.HandleFunc("/api/abort", func(http.ResponseWriter, *http.Request) {
		fmt.Println("abort runs")
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/payload", payload)
	mux.HandleFunc("/returns", answerWith(`{"ReturnValue":"test"}`))
	mux.HandleFunc("/named", answerWith(`{"Outputs":{"res":{"status":"202","body":"test","headers":{"X-A":"1"}}}}`))
	mux.HandleFunc("/silent", answerWith(`{}`))
	mux.HandleFunc("/untyped", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"Outputs":{}}`) })
	mux.HandleFunc("/fails", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "reason", 500) })
	mux.HandleFunc("/queue", queue)
	mux.HandleFunc("/events", events)
	mux.HandleFunc("/bus", bus)
	mux.HandleFunc("/blob", blob)
	mux.HandleFunc("/longqueue", func(w http.ResponseWriter, _ *http.Request) {
		visit(w)
		answerWith(`{}`)(w, nil)
	})
	mux.HandleFunc("/die", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { select {} })
	mux.HandleFunc("/environment", environment)
	log.Fatal(http.Serve(l, mux))
}

func answerWith(doc string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, doc)
	}
}

// plain answers with what it got.
func plain(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Add("Set-Cookie", "a=1; Path=/")
	w.Header().Add("Set-Cookie", "b=2; HttpOnly")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusTeapot)
	json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "uri": r.RequestURI, "host": r.Host, "header": r.Header, "body": body,
		"length": r.ContentLength,
	})
}

// stream sends one half, waits for the test, and sends the other.
func stream(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "first")
	w.(http.Flusher).Flush()
	visit(w)
	io.WriteString(w, "second")
}

var inside atomic.Int32

// meet waits for the test while it keeps the process busy.
func meet(w http.ResponseWriter, r *http.Request) {
	if n := inside.Add(1); n > 1 {
		http.Error(w, fmt.Sprint(n, " at once"), http.StatusConflict)
	}
	defer inside.Add(-1)
	visit(w)
	fmt.Fprint(w, os.Getpid())
}

func visit(w http.ResponseWriter) {
	resp, err := http.Get(os.Getenv("MEET") + "?pid=" + fmt.Sprint(os.Getpid()))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	resp.Body.Close()
}

// payload answers with the payload that it got, and the invocation's ID in a header.
func payload(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	json.NewDecoder(r.Body).Decode(&body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(map[string]any{
		"Outputs": map[string]any{"res": map[string]any{
			"statusCode": 201, "body": body,
			"headers": map[string]any{"X-Id": r.Header.Get("X-Azure-Functions-InvocationId"), "X-Number": 5},
		}},
		"Logs": []string{"from the Logs list"},
	})
}

// queue writes its message to the blob messages/last, and fails when that is what the message says.
func queue(w http.ResponseWriter, r *http.Request) {
	var doc struct{ Data map[string]string }
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := put("messages/last", doc.Data["message"]); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Println("queue got", doc.Data["message"])
	if strings.Contains(doc.Data["message"], "fail") {
		http.Error(w, "as asked", http.StatusInternalServerError)
		return
	}
	answerWith(`{"Outputs":{},"Logs":[],"ReturnValue":null}`)(w, r)
}

// events prints the payload that it gets, and fails when that has the word fail.
func events(w http.ResponseWriter, r *http.Request) {
	payload, _ := io.ReadAll(r.Body)
	fmt.Println("events got", string(payload))
	if strings.Contains(string(payload), "fail") {
		http.Error(w, "as asked", http.StatusInternalServerError)
		return
	}
	answerWith(`{}`)(w, r)
}

// blob tells what it got, and fails when that says so.
func blob(w http.ResponseWriter, r *http.Request) {
	var doc struct {
		Data     map[string]string
		Metadata map[string]json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	delete(doc.Metadata, "sys")
	metadata, _ := json.Marshal(doc.Metadata)
	fmt.Printf("blob got %s with %s\n", doc.Data["blob"], metadata)
	if strings.Contains(doc.Data["blob"], "fail") {
		http.Error(w, "as asked", http.StatusInternalServerError)
		return
	}
	answerWith(`{}`)(w, r)
}

// bus fails when its message says so: "fail" always, "once" in the first delivery.
func bus(w http.ResponseWriter, r *http.Request) {
	var doc struct {
		Data     map[string]string
		Metadata map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text := doc.Data["message"]
	fmt.Printf("bus got %s session %v delivery %v\n", text, doc.Metadata["SessionId"], doc.Metadata["DeliveryCount"])
	if strings.Contains(text, "fail") || strings.Contains(text, "once") && doc.Metadata["DeliveryCount"] == "1" {
		http.Error(w, "as asked", http.StatusInternalServerError)
		return
	}
	answerWith(`{"Outputs":{},"Logs":[],"ReturnValue":null}`)(w, r)
}

func put(name, body string) error {
	_, rest, found := strings.Cut(os.Getenv("AzureWebJobsStorage"), "BlobEndpoint=")
	if !found {
		return nil
	}
	endpoint, _, _ := strings.Cut(rest, ";")
	req, err := http.NewRequest(http.MethodPut, endpoint+"/"+name, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("x-ms-blob-type", "BlockBlob")
	req.Header.Set("x-ms-version", "2023-11-03")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("put %s: %s", name, resp.Status)
	}
	return nil
}

func environment(w http.ResponseWriter, r *http.Request) {
	dir, _ := os.Getwd()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"Outputs": map[string]any{"res": map[string]any{
		"body": map[string]any{"env": os.Environ(), "args": os.Args[1:], "dir": dir},
	}}})
}
