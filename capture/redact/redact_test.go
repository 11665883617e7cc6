package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tandem/capture"
)

var testKey = []byte("0123456789abcdef")

func newRedactor(t testing.TB, rules ...Rule) *Redactor {
	t.Helper()
	r, err := New(Options{Key: testKey, Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// event redacts an event.
func event(t testing.TB, r *Redactor, doc string) string {
	t.Helper()
	inv, _ := r.Redact(&capture.Invocation{Event: []byte(doc)})
	return string(inv.Event)
}

const (
	aJWT     = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
	aKeyID   = "AKIAIOSFODNN7EXAMPLE"
	anAWSKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	aStorage = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6+ASt12Ab3Q=="
)

// tokenForm is what stands for a value that has no form of its own.
const tokenForm = `redacted-[0-9a-f]{16}`

func TestWhatIsReplaced(t *testing.T) {
	const text, b64 = tokenForm, `redacted[A-Za-z0-9]+={0,2}`
	const b64or = `redacted[A-Za-z0-9]+`
	const jwt = `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\.eyJzdWIiOiJyZWRhY3Rl[\w-]+\.[\w-]{43}`
	for _, tt := range []struct {
		name, in string
		want     string // with «…» for a pattern; all else is literal
	}{
		{"a header in any case", `{"headers":{"AUTHORIZATION":"Bearer s3cret","Accept":"*/*"}}`,
			`{"headers":{"AUTHORIZATION":"Bearer «` + text + `»","Accept":"*/*"}}`},
		{"a header with several values", `{"multiValueHeaders":{"X-Api-Key":["first-key","second-key"]}}`,
			`{"multiValueHeaders":{"X-Api-Key":["«` + text + `»","«` + text + `»"]}}`},
		{"a header without a scheme", `{"headers":{"authorization":"correct horse"}}`,
			`{"headers":{"authorization":"«` + text + `»"}}`},
		{"basic credentials stay such", `{"headers":{"authorization":"Basic Ym9iOmh1bnRlcjI="}}`,
			`{"headers":{"authorization":"Basic «cmVkYWN0ZWQt[\w+/]+=*»"}}`},
		{"headers as CloudFront has them", `{"headers":{"authorization":[{"key":"Authorization","value":"s3cret"}]}}`,
			`{"headers":{"authorization":[{"key":"Authorization","value":"«` + text + `»"}]}}`},
		{"headers as a list of names and values", `{"headers":[{"name":"X-Api-Key","value":"s3cret"}]}`,
			`{"headers":[{"name":"X-Api-Key","value":"«` + text + `»"}]}`},
		{"cookies keep their names", `{"headers":{"Cookie":"sid=6f1d; theme=\"dark\"; flag"}}`,
			`{"headers":{"Cookie":"sid=«` + text + `»; theme=\"«` + text + `»\"; «` + text + `»"}}`},
		{"cookies of format 2.0", `{"cookies":["sid=6f1d","a=b=c"]}`,
			`{"cookies":["sid=«` + text + `»","a=«` + text + `»"]}`},
		{"a cookie that is set keeps its attributes", `{"headers":{"set-cookie":"sid=6f1d; Path=/; HttpOnly"}}`,
			`{"headers":{"set-cookie":"sid=«` + text + `»; Path=/; HttpOnly"}}`},
		{"a raw query", `{"rawQueryString":"page=2&code=a%2Bb%3D&X-Amz-Signature=00112233445566aa&q=a+b"}`,
			`{"rawQueryString":"page=2&code=«` + text + `»&X-Amz-Signature=«facade00[0-9a-f]{8}»&q=a+b"}`},
		{"a query that holds a URL", `{"rawQueryString":"to=https%3A%2F%2Fh%2F%3Ftoken%3Ds3cret%26a%3D1"}`,
			`{"rawQueryString":"to=https%3A%2F%2Fh%2F%3Ftoken%3D«` + text + `»%26a%3D1"}`},
		{"parameters", `{"queryStringParameters":{"sig":"s3cret","page":"2"}}`,
			`{"queryStringParameters":{"sig":"«` + text + `»","page":"2"}}`},
		{"a URL in a text", `{"note":"see https://h/p?code=s3cret&page=2#top, or not"}`,
			`{"note":"see https://h/p?code=«` + text + `»&page=2#top, or not"}`},
		{"a password in a URL", `{"db":"postgres://bob:hunter2@db/orders"}`,
			`{"db":"postgres://bob:«` + text + `»@db/orders"}`},
		{"a name at any depth", `{"a":[{"client_secret":"x"}],"b":{"dbPassword":"y","nextToken":"z"}}`,
			`{"a":[{"client_secret":"«` + text + `»"}],"b":{"dbPassword":"«` + text + `»","nextToken":"z"}}`},
		{"a number by its name", `{"token":-1234.5,"other":1234}`, `{"token":«999\d\d»,"other":1234}`},
		{"what is not text stays", `{"token":null,"password":true,"secret":""}`, `{"token":null,"password":true,"secret":""}`},
		{"below a name", `{"password":{"S":"hunter2"},"token":["a",{"b":"c"}]}`,
			`{"password":{"S":"«` + text + `»"},"token":["«` + text + `»",{"b":"«` + text + `»"}]}`},
		{"an attribute keeps its type", `{"messageAttributes":{"token":{"stringValue":"x","dataType":"String"}}}`,
			`{"messageAttributes":{"token":{"stringValue":"«` + text + `»","dataType":"String"}}}`},
		{"binary stays base64", `{"token":{"binaryValue":"AAEC","dataType":"Binary"}}`,
			`{"token":{"binaryValue":"«cmVkYWN0ZWQt[\w+/]+=*»","dataType":"Binary"}}`},
		{"payments are authorized, too", `{"authorization":{"amount":"12.50"}}`, `{"authorization":{"amount":"12.50"}}`},
		{"claims are none", `{"authorizer":{"jwt":{"claims":{"sub":"bob"},"scopes":["a"]}}}`,
			`{"authorizer":{"jwt":{"claims":{"sub":"bob"},"scopes":["a"]}}}`},
		{"a name and all its values", `{"name":"X-Api-Key","value":"first","value":["second"]}`,
			`{"name":"X-Api-Key","value":"«` + text + `»","value":["«` + text + `»"]}`},
		{"a value before its name, of which a part is a token", `{"Value":"a ` + aJWT + ` b","x":"` + aJWT + `","Name":"password"}`,
			`{"Value":"«` + text + `»","x":"«` + jwt + `»","Name":"password"}`},
		{"a name that is there twice", `{"token":"a","token":"b"}`, `{"token":"«` + text + `»","token":"«` + text + `»"}`},
		{"cookies that were joined", `{"headers":{"set-cookie":"a=x; Expires=Wed, 21 Oct 2026 07:28:00 GMT, b=y; Path=/"}}`,
			`{"headers":{"set-cookie":"a=«` + text + `»; Expires=Wed, 21 Oct 2026 07:28:00 GMT, b=«` + text + `»; Path=/"}}`},
		{"four digits", `{"password":"9812"}`, `{"password":"«999\d»"}`},
		{"a token in the place of a user", `{"u":"https://ghp_0123456789abcdef@github.com/a and ftp://bob@h"}`,
			`{"u":"https://«` + b64or + `»@github.com/a and ftp://bob@h"}`},
		{"JSON in a string", `{"body":"{\n \"password\" : \"h\\u00fcnter\\\"2\"}"}`,
			`{"body":"{\n \"password\" : \"«` + text + `»\"}"}`},
		{"JSON in JSON in a string", `{"Message":"{\"a\":\"{\\\"token\\\":\\\"x\\\"}\"}"}`,
			`{"Message":"{\"a\":\"{\\\"token\\\":\\\"«` + text + `»\\\"}\"}"}`},
		{"JSON by the name of a secret keeps its members", `{"secret":"{\"user\":\"bob\"}"}`,
			`{"secret":"{\"user\":\"«` + text + `»\"}"}`},
		{"a list of JSON lines", `{"body":"{\"token\":\"x\"}\n{\"token\":\"x\"}"}`,
			`{"body":"{\"token\":\"«` + text + `»\"}\n{\"token\":\"«` + text + `»\"}"}`},
		{"JSON that is cut off", `{"body":"{\"password\": \"hunter2\", \"a\": "}`,
			`{"body":"{\"password\": \"«` + text + `»\", \"a\": "}`},
		{"a list in a sentence", `{"errorMessage":"header x-api-key: [\"hunter2\", \"hunter3\"] is not text"}`,
			`{"errorMessage":"header x-api-key: [\"«` + text + `»\", \"«` + text + `»\"] is not text"}`},
		{"a list that never ends", `{"errorMessage":"header x-api-key: [\"hunter2\" is not text"}`,
			`{"errorMessage":"header x-api-key: [\"«` + text + `»\" is not text"}`},
		{"headers as Go prints them", `{"m":"map[X-Api-Key:[hunter2 hunter3] X-Id:[7]]"}`,
			`{"m":"map[X-Api-Key:[«` + text + `» «` + text + `»] X-Id:[7]]"}`},
		{"headers as Node prints them", `{"m":"{ 'set-cookie': [ 'sid=hunter2' ], 'x-id': [ '7' ] }"}`,
			`{"m":"{ 'set-cookie': [ 'sid=«` + text + `»' ], 'x-id': [ '7' ] }"}`},
		{"a form", `{"body":"user=bob&password=hunt%20er&x=1"}`, `{"body":"user=bob&password=«` + text + `»&x=1"}`},
		{"a form whose first parameter it is", `{"body":"code=hunter2&state=1"}`, `{"body":"code=«` + text + `»&state=1"}`},
		{"a form with names in brackets", `{"body":"user%5Bpassword%5D=hunter2&user[token]=x"}`,
			`{"body":"user%5Bpassword%5D=«` + text + `»&user[token]=«` + text + `»"}`},
		{"a form with JSON in it", `{"body":"a=1&data=%7B%22token%22%3A%22x%22%7D"}`,
			`{"body":"a=1&data=%7B%22token%22%3A%22«` + text + `»%22%7D"}`},
		{"settings", `{"body":"user = bob\npassword = hunter2\n"}`, `{"body":"user = bob\npassword = «` + text + `»\n"}`},
		{"a query of GraphQL", `{"query":"{login(password: \"hunter2\", token: \"abcdefgh12\")}"}`,
			`{"query":"{login(password: \"«` + text + `»\", token: \"«` + text + `»\")}"}`},
		{"a form with parts", `{"body":"--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--b--"}`,
			`{"body":"--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n«` + text + `»\r\n--b--"}`},
		{"XML", `{"body":"<a><ns:password>hunter2</ns:password></a>"}`,
			`{"body":"<a><ns:password>«` + text + `»</ns:password></a>"}`},
		{"XML with attributes", `{"body":"<w:Password Type=\"a#b\">\n hunter2\n</w:Password><token/>x"}`,
			`{"body":"<w:Password Type=\"a#b\">\n «` + text + `»\n</w:Password><token/>x"}`},
		{"XML with CDATA", `{"body":"<password><![CDATA[hunter2]]></password>"}`,
			`{"body":"<password><![CDATA[«` + text + `»]]></password>"}`},
		{"a JWT anywhere", `{"note":"it is ` + aJWT + `."}`, `{"note":"it is «` + jwt + `»."}`},
		{"an access key ID anywhere", `{"note":"id ` + aKeyID + ` key ` + anAWSKey + `"}`,
			`{"note":"id «AKIAREDACTED[A-Z2-7]{8}» key «` + b64 + `»"}`},
		{"a secret key somewhere else", `{"id":"` + aKeyID + `","key":"` + anAWSKey + `","sha":"` + strings.Repeat("0a", 20) + `"}`,
			`{"id":"«AKIAREDACTED[A-Z2-7]{8}»","key":"«` + b64 + `»","sha":"` + strings.Repeat("0a", 20) + `"}`},
		{"a connection string", `{"c":"AccountName=a;AccountKey=` + aStorage + `;EndpointSuffix=x"}`,
			`{"c":"AccountName=a;AccountKey=«` + b64 + `»;EndpointSuffix=x"}`},
		{"a storage key alone", `{"c":"` + aStorage + `"}`, `{"c":"«` + b64 + `»"}`},
		{"a storage key in a text", `{"c":"it is ` + aStorage + `, is it not?"}`, `{"c":"it is «` + b64 + `», is it not?"}`},
		{"a key of Functions", `{"c":"it is ` + strings.Repeat("a-B0", 10) + `AzFuabcd123456==!"}`, `{"c":"it is «` + b64 + `»!"}`},
		{"a token behind a hash sign", `{"headers":{"referer":"https://h/cb#code=s3cret&state=1"}}`,
			`{"headers":{"referer":"https://h/cb#code=«` + text + `»&state=1"}}`},
		{"a shared access signature", `{"c":"BlobEndpoint=x;SharedAccessSignature=sv=2020&sig=abc%2Bdef%3D&se=1"}`,
			`{"c":"BlobEndpoint=x;SharedAccessSignature=sv=2020&sig=«` + text + `»&se=1"}`},
		{"a private key", `{"k":"-----BEGIN RSA PRIVATE KEY-----\nMIIEabc+\ndef/==\n-----END RSA PRIVATE KEY-----\n"}`,
			`{"k":"-----BEGIN RSA PRIVATE KEY-----\n«` + text + `»\n-----END RSA PRIVATE KEY-----\n"}`},
		{"a bearer token in a message", `{"log":"sent Bearer abcdefgh12345678, got 401"}`,
			`{"log":"sent Bearer «` + b64 + `», got 401"}`},
		{"talk of tokens", `{"log":"the bearer token required is missing: unexpected token: <, password: must be longer"}`,
			`{"log":"the bearer token required is missing: unexpected token: <, password: must be longer"}`},
		{"talk of passwords", `{"log":"Password: Required. if (token == null) of the bearer certificate-holder"}`,
			`{"log":"Password: Required. if (token == null) of the bearer certificate-holder"}`},
		{"a header in a message", `{"raw":"GET / HTTP/1.1\r\nCookie: a=b; c=d\r\nHost: h\r\n"}`,
			`{"raw":"GET / HTTP/1.1\r\nCookie: a=«` + text + `»; c=«` + text + `»\r\nHost: h\r\n"}`},
		{"the name of a member", `{"` + aJWT + `":1}`, `{"«` + jwt + `»":1}`},
		{"a UUID stays one", `{"apiKey":"0f3b2a6e-2c4d-4a55-9d0e-7f4b8f1c2d3e"}`,
			`{"apiKey":"«facade00-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}»"}`},
		{"upper-case hex stays such", `{"apiKey":"00112233AABBCCDDEE"}`, `{"apiKey":"«FACADE00[0-9A-F]{10}»"}`},
		{"an S3 key that is encoded", `{"Records":[{"s3":{"object":{"key":"a+b/` + strings.ReplaceAll(aJWT, ".", "%2E") + `.txt"}}}]}`,
			`{"Records":[{"s3":{"object":{"key":"a+b/«` + jwt + `».txt"}}}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRedactor(t)
			got := event(t, r, tt.in)
			if !like(tt.want).MatchString(got) {
				t.Errorf("%s became\n%s, want\n%s", tt.in, got, tt.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("%s is not JSON", got)
			}
			if again := event(t, r, got); again != got {
				t.Errorf("redacted once more, it is\n%s, not\n%s", again, got)
			}
			if other, err := New(Options{}); err != nil || event(t, other, got) != got {
				t.Errorf("under another key, it is %s (%v)", event(t, other, got), err)
			}
		})
	}
}

func TestBytesThatAreNotUTF8Stay(t *testing.T) {
	got := event(t, newRedactor(t), "{\"token\":\"a\xff\",\"b\":\"\xfe\xc3\"}")
	if !strings.HasPrefix(got, `{"token":"redacted-`) || !strings.HasSuffix(got, "\",\"b\":\"\xfe\xc3\"}") {
		t.Errorf("it became %q", got)
	}
}

// A picture is full of what could be an address; a password in it has its name before it.
func TestInWhatIsNoTextOnlyCredentialsAreLookedFor(t *testing.T) {
	r := newRedactor(t, everyForm()...)
	for content, want := range map[string]bool{
		"\x00\x01 bob@mail.org 10.1.2.3": false, "bob@mail.org \xff": true, "\x00 password=hunter2": true,
	} {
		in := `{"body":"` + base64.StdEncoding.EncodeToString([]byte(content)) + `"}`
		if got := event(t, r, in) != in; got != want {
			t.Errorf("%q: replaced is %v", content, got)
		}
	}
}

// A little text can be the gzip of very much.
func TestWhatIsInflatedIsBounded(t *testing.T) {
	bomb := base64.StdEncoding.EncodeToString(deflate(bytes.Repeat([]byte("a"), 600)))
	p := pass{redactor: newRedactor(t), inflated: maxInflated - 1000}
	p.json([]byte(`["`+strings.Repeat(bomb+`","`, 8)+`"]`), place{})
	if p.inflated != maxInflated {
		t.Errorf("%d bytes", p.inflated)
	}
}

// like makes a pattern of text that has patterns in it, between « and ».
func like(text string) *regexp.Regexp {
	pattern := ""
	for i, part := range strings.FieldsFunc("^"+text, func(r rune) bool { return r == '«' || r == '»' }) {
		if i%2 == 0 {
			part = regexp.QuoteMeta(strings.TrimPrefix(part, "^"))
		}
		pattern += part
	}
	return regexp.MustCompile("^" + pattern + "$")
}

func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../fixtures/events/*.json")
	if err != nil || len(paths) < 11 {
		t.Fatal(paths, err)
	}
	docs := make(map[string][]byte)
	for _, path := range paths {
		if docs[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return docs
}

// leaf finds the strings of a document, of values and of names.
var leaf = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// contains reports whether text has secret in it, plain or in base64.
func contains(text []byte, secret string) bool {
	if bytes.Contains(text, []byte(secret)) {
		return true
	}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("-", shift) + secret))
		inner := encoded[4 : len(encoded)-4]
		if bytes.Contains(text, []byte(inner)) {
			return true
		}
	}
	return false
}

// Each string of each format's sample is in turn replaced by something that holds a credential.
func TestNoStringOfAnyFormatKeepsACredential(t *testing.T) {
	r := newRedactor(t)
	carriers := []struct{ carrier, secret string }{
		{aJWT, aJWT},
		{"see " + aJWT, aJWT},
		{"id=" + aKeyID + " " + anAWSKey, anAWSKey},
		{aKeyID, aKeyID},
		{"https://a.blob.core.windows.net/c?sv=1&sig=" + strings.Repeat("AbC1", 11), strings.Repeat("AbC1", 11)},
		{"DefaultEndpointsProtocol=https;AccountKey=" + aStorage, aStorage},
		{`{\"a\":{\"client_secret\":\"correct-horse-battery\"}}`, "correct-horse-battery"},
		{base64.StdEncoding.EncodeToString([]byte(`{"a":{"token":"correct-horse-battery"}}`)), "correct-horse-battery"},
		{`-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----`, "MIIEvQIBADANBgkqhkiG9w0BAQEF"},
		{"Authorization: Bearer correct-horse-battery", "correct-horse-battery"},
		{"user=bob&password=correct-horse-battery", "correct-horse-battery"},
	}
	for name, doc := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			places := leaf.FindAllIndex(doc, -1)
			if len(places) < 20 {
				t.Errorf("only %d places were found", len(places))
			}
			for _, at := range places {
				for _, c := range carriers {
					planted := string(doc[:at[0]+1]) + c.carrier + string(doc[at[1]-1:])
					if !json.Valid([]byte(planted)) {
						t.Fatalf("%s is not JSON", planted)
					}
					got := event(t, r, planted)
					here := fmt.Sprintf("%q in the place of %s", c.carrier, doc[at[0]:at[1]])
					if contains([]byte(got), c.secret) {
						t.Errorf("%s is still there", here)
					}
					if !json.Valid([]byte(got)) {
						t.Errorf("with %s it is no JSON any more", here)
					}
					if again := event(t, r, got); again != got {
						t.Errorf("with %s it is not the same when redacted again", here)
					}
				}
			}
		})
	}
}

func TestEventsWithoutSecretsAreNotTouched(t *testing.T) {
	r := newRedactor(t)
	cookies := regexp.MustCompile(`(sid|theme)=\w+`)
	for name, doc := range fixtures(t) {
		inv := &capture.Invocation{ID: "i", Function: "f", Event: doc}
		got, replaced := r.Redact(inv)
		if !cookies.Match(doc) {
			if got != inv || replaced != nil {
				t.Errorf("%s: %v was replaced", name, replaced)
			}
			continue
		}
		plain := cookies.ReplaceAll(doc, []byte("$1"))
		after := regexp.MustCompile(`(sid|theme)=`+tokenForm).ReplaceAll(got.Event, []byte("$1"))
		if !bytes.Equal(plain, after) {
			t.Errorf("%s: more than the cookies changed:\n%s", name, got.Event)
		}
	}
}

func TestEqualValuesHaveEqualTokensHoweverTheyAreWritten(t *testing.T) {
	r := newRedactor(t)
	secret := "s3cret/with spaces & \"quotes\""
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(`{"password":` + string(quoted) + `}`)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString([]byte(`{"password":` + string(quoted) + `}`))
	got := event(t, r, fmt.Sprintf(`{"token":%s,"body":%s,"data":"%s","rawQueryString":"token=s3cret%%2Fwith+spaces%%20%%26+%%22quotes%%22"}`,
		quoted, body, b64))
	var doc struct{ Token, Body, Data, RawQueryString string }
	if err := json.Unmarshal([]byte(got), &doc); err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(doc.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{doc.Body, string(data), doc.RawQueryString} {
		if !strings.Contains(text, doc.Token) {
			t.Errorf("%s does not have %s", text, doc.Token)
		}
	}
	if len(doc.Token) != textTokenSize {
		t.Errorf("token %q", doc.Token)
	}
	other, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if event(t, other, `{"token":"x"}`) == event(t, r, `{"token":"x"}`) {
		t.Error("another key makes the same token")
	}
}

func TestEachKindOfBase64IsLookedInto(t *testing.T) {
	r := newRedactor(t)
	content := []byte(`{"password":"hunter2","text":"~~~???>>>ÿÿÿ"}`)
	for name, encoding := range map[string]*base64.Encoding{
		"standard": base64.StdEncoding, "raw": base64.RawStdEncoding, "URL": base64.URLEncoding, "raw URL": base64.RawURLEncoding,
	} {
		var doc struct{ Data string }
		if err := json.Unmarshal([]byte(event(t, r, `{"data":"`+encoding.EncodeToString(content)+`"}`)), &doc); err != nil {
			t.Fatal(err)
		}
		got, err := encoding.DecodeString(doc.Data)
		if err != nil || !like(`{"password":"«`+tokenForm+`»","text":"~~~???>>>ÿÿÿ"}`).Match(got) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	var zipped struct{ Data string }
	doc := event(t, r, `{"awslogs":1,"Data":"`+base64.StdEncoding.EncodeToString(deflate(content))+`"}`)
	if err := json.Unmarshal([]byte(doc), &zipped); err != nil {
		t.Fatal(err)
	}
	compressed, err := base64.StdEncoding.DecodeString(zipped.Data)
	if got := new(pass).inflate(compressed); err != nil || !like(`{"password":"«`+tokenForm+`»",«.*»}`).Match(got) {
		t.Errorf("compressed: %s, %v", got, err)
	}
}

func TestHashesAndLengthsFitAgain(t *testing.T) {
	r := newRedactor(t)
	before := `{"Records":[{"messageId":"m","body":"{\"password\":\"hunter2\"}","md5OfBody":"` + strings.Trim(quotedMD5(`{"password":"hunter2"}`), `"`) + `"}]}`
	var doc struct {
		Records []struct{ Body, MD5OfBody string }
	}
	if err := json.Unmarshal([]byte(event(t, r, before)), &doc); err != nil {
		t.Fatal(err)
	}
	if got := doc.Records[0]; quotedMD5(got.Body) != `"`+got.MD5OfBody+`"` || strings.Contains(got.Body, "hunter2") {
		t.Errorf("md5OfBody of %+v is %s", got, quotedMD5(got.Body))
	}
	if wrong := strings.Replace(before, `"md5OfBody":"`, `"md5OfBody":"00`, 1); !strings.Contains(event(t, r, wrong), `"md5OfBody":"00`) {
		t.Error("a hash that never fitted was changed")
	}
	for _, tt := range []struct{ name, body, encoded string }{
		{"plain", `{\"password\":\"hunter2é\"}`, "false"},
		{"base64", base64.StdEncoding.EncodeToString([]byte(`{"password":"hunter2é"}`)), "true"},
	} {
		in := `{"headers":{"content-length":"24"},"multiValueHeaders":{"Content-Length":["24"]},"body":"` + tt.body + `","isBase64Encoded":` + tt.encoded + `}`
		var doc struct {
			Headers           map[string]string
			MultiValueHeaders map[string][]string
			Body              string
		}
		if err := json.Unmarshal([]byte(event(t, r, in)), &doc); err != nil {
			t.Fatal(err)
		}
		body := []byte(doc.Body)
		if tt.encoded == "true" {
			body, _ = base64.StdEncoding.DecodeString(doc.Body)
		}
		want := fmt.Sprint(len(body))
		if doc.Headers["content-length"] != want || doc.MultiValueHeaders["Content-Length"][0] != want || len(body) == 24 {
			t.Errorf("%s: %+v, want %s", tt.name, doc, want)
		}
	}
}

// quotedMD5 is the hash of a text as JSON.
func quotedMD5(text string) string {
	value, _ := json.Marshal(text)
	return `"` + md5OfString(value) + `"`
}

func TestTheHashOfAttributesFitsAgain(t *testing.T) {
	r := newRedactor(t)
	attributes := `{"n":{"stringValue":"7","dataType":"Number"},"token":{"stringValue":"hunter2","dataType":"String"}}`
	in := `{"messageAttributes":` + attributes + `,"md5OfMessageAttributes":"` + MD5OfAttributes([]byte(attributes)) + `"}`
	var doc struct {
		MessageAttributes      json.RawMessage
		MD5OfMessageAttributes string
	}
	if err := json.Unmarshal([]byte(event(t, r, in)), &doc); err != nil {
		t.Fatal(err)
	}
	if got := MD5OfAttributes(doc.MessageAttributes); got != doc.MD5OfMessageAttributes || bytes.Contains(doc.MessageAttributes, []byte("hunter2")) {
		t.Errorf("%s has the hash %s, not %s", doc.MessageAttributes, got, doc.MD5OfMessageAttributes)
	}
}

func TestATextWithATokenMayHoldOne(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{
		"some words", "jane@corp.com", "+49 170 1234567", "0170 1234567", "4111 1111 1111 1111", "10.1.2.3", "fe80::1:2",
		"DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32", "AKIAIOSFODNN7EXAMPLE", "1234", "12",
		"0123456789abcdef0123456789abcdef", "0f8fad5b-d9cb-469f-a165-70867728950e", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnopqrstuvwxyz012345",
	} {
		for range 20 {
			token := string(r.tokens.token([]byte(value)))
			if !MayHoldToken("in/" + token + ".csv") {
				t.Errorf("%s: %s is not known for a token", value, token)
			}
			if got := IsIDToken(token); got != (len(value) == 36) {
				t.Errorf("%s is a token for a UUID: %v", token, got)
			}
			if r, err = New(Options{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, text := range []string{"", "in/catalog-2026.csv", "orders/000/part-0007.json"} {
		if MayHoldToken(text) {
			t.Errorf("%s is taken for one with a token", text)
		}
	}
}
