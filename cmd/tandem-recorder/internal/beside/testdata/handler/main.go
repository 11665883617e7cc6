// Command handler is a custom handler that does what the name of the function says.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "exit" {
		fmt.Fprintln(os.Stderr, "the handler does not start")
		os.Exit(9)
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	go func() {
		fmt.Println("got", <-asked)
		os.Exit(7)
	}()
	http.HandleFunc("/{function}", serve)
	fmt.Println("handler starts with", strings.Join(os.Args[1:], " "))
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), nil)
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.PathValue("function") {
	case "crash":
		os.Exit(3)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "hang":
		fmt.Println("hangs")
		<-r.Context().Done()
	case "garbage":
		conn, buf, _ := http.NewResponseController(w).Hijack()
		_, _ = buf.WriteString("\x00\xffthis is no HTTP\r\n\r\n")
		_ = buf.Flush()
		_ = conn.Close()
	case "cookies":
		w.Header()["Set-Cookie"] = []string{"b=2", "a=1", "b=3"}
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"Outputs":{},"ReturnValue":%d}`, len(body))
	}
}
