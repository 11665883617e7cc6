package effects

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// azureNames reads what is behind /blob/ or /queue/ in a path: the account, the container or queue, and the rest.
// Percent signs alone are special in a path.
func azureNames(escapedPath string) (account, container, rest string, err error) {
	_, path, _ := strings.Cut(strings.TrimPrefix(escapedPath, "/"), "/")
	if path, err = url.PathUnescape(path); err != nil || !utf8.ValidString(path) {
		return "", "", "", &fault{http.StatusBadRequest, "InvalidUri", "The requested URI does not represent any resource."}
	}
	account, path, _ = strings.Cut(path, "/")
	container, rest, _ = strings.Cut(path, "/")
	return account, container, rest, nil
}

// prepareAzure sets the headers that every answer has. Clients check that they get their request ID back. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/common-rest-api-response-headers.
func (c *call) prepareAzure() {
	h := c.w.Header()
	h.Set("X-Ms-Request-Id", newID())
	h.Set("X-Ms-Version", "2021-12-02") // of a client that does not say its own
	for _, name := range []string{"X-Ms-Version", "X-Ms-Client-Request-Id"} {
		if value := c.r.Header.Get(name); value != "" {
			h.Set(name, value)
		}
	}
}

// failAzure answers in the form of Azure storage. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/status-and-error-codes2.
func failAzure(c *call, f *fault) {
	code := f.code
	if f.status == http.StatusRequestEntityTooLarge {
		code = "RequestBodyTooLarge"
	}
	c.w.Header().Set("X-Ms-Error-Code", code)
	err := c.writeXML(f.status, struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}{Code: code, Message: f.message})
	if err != nil {
		http.Error(c.w, fmt.Sprint(f), f.status)
	}
}

func invalidXML() *fault {
	return &fault{http.StatusBadRequest, "InvalidXmlDocument", "XML specified is not syntactically valid."}
}

func invalidQuery(name string) *fault {
	return &fault{
		http.StatusBadRequest, "InvalidQueryParameterValue",
		"Value for the query parameter " + name + " in the request URI is invalid.",
	}
}
