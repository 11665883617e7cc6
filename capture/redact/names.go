package redact

// A role says what a JSON value is, and with that what is looked for in it.
type role byte

const (
	plain         role = iota // anything: by names below it, by forms in it
	kept                      // a rule exempts it
	secret                    // the whole value, and all below it
	secretTexts               // all strings below it, for it is an object whose name says that it is secret
	secretBytes               // base64 of such a string
	headers                   // an object or a list of header names and their values
	params                    // an object of the parameters of a query
	query                     // a query, as in a URL
	authorization             // the value of an Authorization header
	cookies                   // the value of a Cookie header: names and values
	setCookie                 // the value of a Set-Cookie header: the first value
	contentLength             // a header that may have to change with the body
	objectKey                 // the key of an S3 object, as notifications encode it
)

// A place is what is known of a value from where it is.
type place struct {
	role role
	kind string // what a replacement is counted as
	// header is set for what headers hold. Where that is an object, as CloudFront has it, its member "value" counts.
	header bool
	// deep is set where numbers in objects count as well.
	deep bool
}

func named(name string) place { return place{role: secret, kind: "name:" + name} }

func header(r role, name string) place { return place{role: r, kind: name + " header", header: true} }

// secretNames are names of members whose values are credentials. Names are compared without case and separators.
var secretNames = map[string]place{
	"authorization":         {role: authorization, kind: "name:authorization"},
	"cookie":                {role: cookies, kind: "name:cookie"},
	"setcookie":             {role: setCookie, kind: "name:set-cookie"},
	"password":              named("password"),
	"passwd":                named("password"),
	"pwd":                   named("password"),
	"passphrase":            named("passphrase"),
	"passwordhash":          named("password"),
	"secret":                named("secret"),
	"token":                 named("token"),
	"apikey":                named("api key"),
	"accesskey":             named("access key"),
	"accesskeyid":           named("access key"),
	"jwt":                   {role: authorization, kind: "name:token"}, // an object has claims
	"jsessionid":            named("session"),
	"phpsessid":             named("session"),
	"samlresponse":          named("assertion"),
	"clientassertion":       named("assertion"),
	"codeverifier":          named("code verifier"),
	"secrets":               named("secret"),
	"passwords":             named("password"),
	"passcode":              named("password"),
	"otp":                   named("password"),      // for one time
	"challengeanswer":       named("password"),      // what a Cognito trigger gets
	"identitysource":        named("authorization"), // what authorizers of HTTP APIs get
	"sharedaccesssignature": named("signature"),
	"privatekey":            named("private key"),
}

// secretSuffixes are ends of names: clientSecret, X-Auth-Token, db_password.
var secretSuffixes = []struct {
	suffix string
	place  place
}{
	{"password", named("password")}, {"passwd", named("password")}, {"passphrase", named("passphrase")},
	{"secret", named("secret")}, {"token", named("token")}, {"authorization", named("authorization")},
	{"apikey", named("api key")}, {"authkey", named("api key")},
	{"secretkey", named("secret key")}, {"accesskey", named("access key")},
	{"accesskeyid", named("access key")}, {"privatekey", named("private key")}, {"accountkey", named("account key")},
	{"functionskey", named("functions key")}, {"functionkey", named("functions key")},
	{"subscriptionkey", named("subscription key")}, {"signingkey", named("signing key")},
	{"encryptionkey", named("encryption key")}, {"sharedkey", named("shared key")}, {"masterkey", named("master key")},
}

// innocentNames end like secrets and are none: they page through lists, and make calls idempotent.
var innocentNames = map[string]bool{
	"nexttoken": true, "nextpagetoken": true, "pagetoken": true, "continuationtoken": true,
	"nextcontinuationtoken": true, "startingtoken": true, "paginationtoken": true, "clientrequesttoken": true,
	"idempotencytoken": true, "synctoken": true, "nextforwardtoken": true, "nextbackwardtoken": true,
}

var secretHeaders = map[string]place{
	"authorization":      header(authorization, "authorization"),
	"proxyauthorization": header(authorization, "proxy-authorization"),
	"xapikey":            header(secret, "x-api-key"),
	"xfunctionskey":      header(secret, "x-functions-key"),
	"xamzsecuritytoken":  header(secret, "x-amz-security-token"),
	"cookie":             header(cookies, "cookie"),
	"setcookie":          header(setCookie, "set-cookie"),
	"contentlength":      {role: contentLength, header: true},
}

// secretParams are names of parameters that are credentials in a query, and elsewhere mean many things.
var secretParams = map[string]place{
	"code":              {role: secret, kind: "query:code"}, // of a Functions app; of OAuth
	"key":               {role: secret, kind: "query:key"},
	"sig":               {role: secret, kind: "query:sig"},
	"signature":         {role: secret, kind: "query:signature"},
	"auth":              {role: secret, kind: "query:auth"},
	"xamzsignature":     {role: secret, kind: "query:x-amz-signature"},
	"xamzcredential":    {role: secret, kind: "query:x-amz-credential"},
	"xamzsecuritytoken": {role: secret, kind: "query:x-amz-security-token"},
	"awsaccesskeyid":    {role: secret, kind: "query:awsaccesskeyid"},
	"xgoogsignature":    {role: secret, kind: "query:x-goog-signature"},
	"xgoogcredential":   {role: secret, kind: "query:x-goog-credential"},
	"subscriptionkey":   {role: secret, kind: "query:subscription-key"},
	"authorization":     {role: secret, kind: "query:authorization"},
	"cookie":            {role: secret, kind: "query:cookie"},
	"setcookie":         {role: secret, kind: "query:set-cookie"},
	"xfunctionskey":     {role: secret, kind: "query:x-functions-key"},
}

// structure are the members of events that hold headers, queries and cookies.
var structure = map[string]place{
	"headers":                         {role: headers},
	"multivalueheaders":               {role: headers},
	"header":                          {role: headers}, // of mapping templates
	"querystringparameters":           {role: params},
	"multivaluequerystringparameters": {role: params},
	"rawquerystring":                  {role: query},
	"querystring":                     {role: query}, // of CloudFront
	"cookies":                         {role: cookies, kind: "cookie"},
}

// maxName is the length beyond which the beginning of a name is of no interest.
const maxName = 64

// normalize writes name without case and separators to buf.
func normalize(buf *[maxName]byte, name []byte) []byte {
	name = name[max(0, len(name)-maxName):]
	n := 0
	for _, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_' || c == '-' || c == '.' || c == ' ' || c == '[' || c == ']': // user[password]
			continue
		}
		buf[n] = c
		n++
	}
	return buf[:n]
}

func normalized(name []byte) string {
	var buf [maxName]byte
	return string(normalize(&buf, name))
}

// lookup tells what a name says of its value: by the rules, by the names of one kind of place, which may be nil, and
// by those that are secret anywhere.
func (r *Redactor) lookup(name []byte, here map[string]place) (place, bool) {
	if pl, ok := r.names[string(name)]; ok {
		return pl, true
	}
	if pl, ok := here[string(name)]; ok {
		return pl, true
	}
	if pl, ok := secretNames[string(name)]; ok {
		return pl, true
	}
	return suffixed(name)
}

func suffixed(name []byte) (place, bool) {
	if len(name) < len("token") {
		return place{}, false
	}
	switch name[len(name)-1] { // most names end here
	case 'd', 'e', 'n', 't', 'y':
	default:
		return place{}, false
	}
	for i := range secretSuffixes {
		s := &secretSuffixes[i]
		if at := len(name) - len(s.suffix); at >= 0 && string(name[at:]) == s.suffix && !innocentNames[string(name)] {
			return s.place, true
		}
	}
	return place{}, false
}

// member tells what the member name of an object at parent is. Next is the first byte of its value.
func (p *pass) member(parent place, name []byte, next byte) place {
	var buf [maxName]byte
	switch parent.role {
	case plain:
		norm := normalize(&buf, name)
		if pl, ok := structure[string(norm)]; ok && fits(pl.role, next) {
			return pl
		}
		if pl, ok := p.redactor.lookup(norm, nil); ok {
			return pl
		}
		if string(name) == "key" && p.inS3Object() {
			return place{role: objectKey}
		}
		return place{}
	case headers:
		pl, _ := p.redactor.lookup(normalize(&buf, name), secretHeaders)
		pl.header = true
		return pl
	case params:
		pl, _ := p.redactor.lookup(normalize(&buf, name), secretParams)
		return pl
	case kept:
		return parent
	}
	return below(parent, name)
}

// below tells what a member of an object is that was expected to be one value.
func below(parent place, name []byte) place {
	switch {
	case parent.header:
		if string(name) == "value" {
			return parent
		}
		return place{}
	case parent.role == cookies:
		return place{role: secret, kind: parent.kind} // names and values
	case parent.role == secret || parent.role == secretTexts || parent.role == secretBytes:
		switch string(name) {
		case "dataType", "Type", "type": // attributes of messages say of which type they are
			return place{}
		case "binaryValue", "binaryListValues", "B", "BS": // of SQS and DynamoDB
			return place{role: secretBytes, kind: parent.kind}
		}
		if parent.deep {
			return parent
		}
		return place{role: secretTexts, kind: parent.kind}
	}
	return place{} // {"authorization": {"amount": 1}} is about cards
}

// fits reports whether a value that begins with next can be what its name says.
func fits(r role, next byte) bool {
	switch r {
	case headers, params:
		return next == '{' || next == '['
	case query:
		return next == '"'
	default:
		return true
	}
}

// inS3Object reports whether the path ends in s3, object.
func (p *pass) inS3Object() bool {
	n := len(p.path)
	return n >= 2 && string(p.path[n-1].name) == "object" && string(p.path[n-2].name) == "s3"
}
