package local

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
)

// Keys are the access keys of a Functions app.
type Keys struct {
	Master   string // opens everything, and alone the admin API and functions of authLevel admin
	Function string // the host key: opens every function of authLevel function
	System   string // in the place of all system keys, such as blobs_extension: opens the extensions' webhooks
}

// fillIn makes up the keys that are not given.
func (k *Keys) fillIn() {
	for _, key := range []*string{&k.Master, &k.Function, &k.System} {
		if *key == "" {
			*key = newKey()
		}
	}
}

// newKey returns a key that can stand in a URL as it is. Azure's have 40 random bytes, too.
func newKey() string {
	var b [40]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// An authLevel says which keys open a function.
type authLevel string

const (
	authAnonymous authLevel = "anonymous"
	authFunction  authLevel = "function"
	authAdmin     authLevel = "admin"
	authSystem    authLevel = "system" // no function's
)

// admit tells whether r has a key that opens level. The key is in x-functions-key or in the query's "code":
// https://learn.microsoft.com/azure/azure-functions/function-keys-how-to.
func (k *Keys) admit(r *http.Request, level authLevel) bool {
	if level == authAnonymous {
		return true
	}
	key := r.Header.Get("X-Functions-Key")
	if key == "" {
		key = r.URL.Query().Get("code")
	}
	return sameKey(key, k.Master) || level == authFunction && sameKey(key, k.Function) ||
		level == authSystem && sameKey(key, k.System)
}

func sameKey(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
