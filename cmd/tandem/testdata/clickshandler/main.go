// Command clickshandler is a custom handler that fails on what has the word fail, and on what has the word in FAILS_ON.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	also := os.Getenv("FAILS_ON")
	http.HandleFunc("/count-clicks", func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Data struct{ Event json.RawMessage }
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		text := string(call.Data.Event)
		if strings.Contains(text, "fail") || also != "" && strings.Contains(text, also) {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"Outputs":{}}`))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), nil))
}
