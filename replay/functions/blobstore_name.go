package functions

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxBlobName     = 1024 // in UTF-16 units
	maxBlobSegments = 254
)

// checkBlobName returns why a blob cannot have the name, or nil. What the service takes and then keeps under another
// name counts, too: the function would be called with that. Source:
// https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata.
func checkBlobName(name string) error {
	switch {
	case name == "":
		return errors.New("a blob needs a name")
	case !utf8.ValidString(name):
		return errors.New("a blob's name is UTF-8")
	case len(utf16.Encode([]rune(name))) > maxBlobName:
		return fmt.Errorf("a blob's name has at most %d characters", maxBlobName)
	case strings.ContainsRune(name, '\\'):
		return errors.New(`a backslash in a blob's name becomes a slash`)
	case strings.HasSuffix(name, "/"):
		return errors.New("a blob's name does not end in a slash")
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Co, r) || r&0xfffe == 0xfffe {
			return fmt.Errorf("a blob's name cannot have the character %U", r)
		}
	}
	segments := strings.Split(name, "/")
	if len(segments) > maxBlobSegments {
		return fmt.Errorf("a blob's name has at most %d segments", maxBlobSegments)
	}
	for _, s := range segments {
		if strings.HasSuffix(s, ".") {
			return errors.New("no segment of a blob's name ends in a dot")
		}
	}
	return nil
}
