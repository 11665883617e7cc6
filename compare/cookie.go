package compare

import (
	"net/http"
	"strings"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// cookiesValue has cookies by their names, which may be there more than once.
func cookiesValue(list []capture.Cookie) jsonval.Value {
	v := jsonval.Value{Kind: jsonval.Object}
	for _, c := range list {
		v.Add(c.Name, cookieValue(c))
	}
	return v
}

// cookieValue has a cookie's value and its attributes as RFC 6265bis, section 5.6, has user agents understand them.
func cookieValue(c capture.Cookie) jsonval.Value {
	attributes := make(map[string]string, len(c.Attributes))
	for name, value := range c.Attributes {
		name = strings.ToLower(name)
		attributes[name] = cookieAttribute(name, value)
	}
	v := textObject(attributes)
	v.Add("value", jsonval.Text(c.Value))
	return v
}

func cookieAttribute(name, value string) string {
	switch name {
	case "expires":
		if t, ok := cookieDate(value); ok {
			return t.Format(http.TimeFormat)
		}
	case "max-age":
		return maxAge(value)
	case "domain":
		return strings.ToLower(strings.TrimPrefix(value, "."))
	case "path":
		if !strings.HasPrefix(value, "/") { // the default path
			return ""
		}
	case "samesite":
		return strings.ToLower(value)
	case "secure", "httponly", "partitioned":
		return "" // there is no way to say no
	}
	return value
}

// maxAge writes seconds without leading zeros. All that are not above zero mean that the cookie has expired.
func maxAge(value string) string {
	digits, negative := strings.CutPrefix(value, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return value // user agents ignore it
	}
	digits = strings.TrimLeft(digits, "0")
	if negative || digits == "" {
		return "0"
	}
	return digits
}
