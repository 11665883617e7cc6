package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"tandem/capture"
)

// planted is part of every secret in these tests.
const planted = "Zq7Planted9"

var encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}`)

// reveals reports whether the secret is in text, plain, in base64 or compressed, also one in the other.
func reveals(text []byte) bool {
	if bytes.Contains(text, []byte(planted)) {
		return true
	}
	if z, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		inflated, _ := io.ReadAll(z)
		return reveals(inflated)
	}
	for _, word := range encoded.FindAll(text, -1) {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			content, _ := encoding.DecodeString(string(word)) // what comes before an error counts
			if len(content) > 0 && reveals(content) {
				return true
			}
		}
	}
	return false
}

func asJSON(text string) string {
	doc, _ := json.Marshal(text)
	return string(doc)
}

func inBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

const jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJZq7Planted9In0.Zq7Planted9"

// secretBodies are contents with a secret in them, for any place that has contents.
var secretBodies = map[string]string{
	"json":           `{"user":"bob","password":"Zq7Planted9","deep":[{"client_secret":{"a":["Zq7Planted9"]}}]}`,
	"json-in-json":   `{"a":` + asJSON(`{"b":`+asJSON(`{"token":"Zq7Planted9"}`)+`}`) + `}`,
	"json-lines":     `{"token":"Zq7Planted9"}` + "\n" + `{"token":"Zq7Planted9"}`,
	"json-cut":       `{"token":"Zq7Planted9","more":`,
	"same-names":     `{"token":"Zq7Planted9","token":"Zq7Planted9","name":"password","value":"x","value":"Zq7Planted9"}`,
	"form":           "password=Zq7Planted9&code=Zq7Planted9&user%5Btoken%5D=Zq7Planted9",
	"form-of-code":   "code=Zq7Planted9&grant_type=authorization_code",
	"multipart":      "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nZq7Planted9\r\n--b--\r\n",
	"xml":            `<a><s:Password Type="t">Zq7Planted9</s:Password><token><![CDATA[Zq7Planted9]]></token></a>`,
	"base64":         inBase64(`{"password":"Zq7Planted9"}`),
	"base64-twice":   inBase64(`{"a":"` + inBase64(`{"password":"Zq7Planted9"}`) + `"}`),
	"base64-of-gzip": inBase64(zipped(`{"password":"Zq7Planted9"}`)),
	"text":           "called https://h/p?sig=Zq7Planted9&a=1 with Authorization: Bearer Zq7Planted9\npassword = Zq7Planted9",
	"connection":     "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zq7Planted9==;x",
	"aws":            `{"id":"AKIAIOSFODNN7EXAMPLE","key":"wJalrXUtnFEMI/K7MDENG/Zq7Planted9EXAMPLE"}`,
	"aws-in-text":    "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/Zq7Planted9EXAMPLE",
	"jwt":            "it is " + jwt,
	"pem":            "-----BEGIN PRIVATE KEY-----\nZq7Planted9\n-----END PRIVATE KEY-----\n",
	"database":       "postgres://bob:Zq7Planted9@db/orders",
	"graphql":        `{"query":"{login(password: \"Zq7Planted9\", token: \"Zq7Planted9\")}"}`,
	"not-utf8":       "\xff\xfe password=Zq7Planted9",
}

// eventTemplates are events of every format, with a secret wherever the format has a place for one.
var eventTemplates = map[string]string{
	"v2": `{"version": "2.0", "routeKey": "$default", "rawPath": "/p", "rawQueryString": QUERY,
		"cookies": ["sid=Zq7Planted9", "x=Zq7Planted9"], "headers": HEADERS,
		"queryStringParameters": {"code": "Zq7Planted9", "sig": "Zq7Planted9", "to": "https://h/?key=Zq7Planted9"},
		"stageVariables": {"apiKey": "Zq7Planted9"},
		"requestContext": {"domainName": "a.lambda-url.eu", "http": {"method": "POST", "path": "/p"},
			"authorizer": {"lambda": {"token": "Zq7Planted9"}}},
		"body": CONTENT, "isBase64Encoded": ENCODED}`,
	"v1": `{"httpMethod": "POST", "path": "/p", "headers": HEADERS, "multiValueHeaders": LISTS,
		"queryStringParameters": {"code": "Zq7Planted9"}, "multiValueQueryStringParameters": {"code": ["Zq7Planted9", "Zq7Planted9"]},
		"requestContext": {"stage": "s", "identity": {"apiKey": "Zq7Planted9"}}, "body": CONTENT, "isBase64Encoded": ENCODED}`,
	"alb": `{"httpMethod": "POST", "path": "/p", "multiValueHeaders": LISTS,
		"multiValueQueryStringParameters": {"code": ["Zq7Planted9", "Zq7Planted9"]},
		"requestContext": {"elb": {"targetGroupArn": "arn"}}, "body": CONTENT, "isBase64Encoded": ENCODED}`,
	"sqs": `{"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": CONTENT, "messageAttributes": {
		"authToken": {"stringValue": "Zq7Planted9", "dataType": "String"},
		"secret": {"binaryValue": "IN-BASE64", "dataType": "Binary"}, "note": {"stringValue": CONTENT, "dataType": "String"}}}]}`,
	"sns": `{"Records": [{"EventSource": "aws:sns", "Sns": {"Message": CONTENT,
		"UnsubscribeUrl": "https://h/?Action=x&Token=Zq7Planted9",
		"MessageAttributes": {"token": {"Type": "String", "Value": "Zq7Planted9"}}}}]}`,
	"s3": `{"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"},
		"object": {"key": "in/x%3FX-Amz-Signature%3DZq7Planted9%26token%3DZq7Planted9"}}}]}`,
	"dynamodb": `{"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {
		"NewImage": {"password": {"S": "Zq7Planted9"}, "token": {"B": "IN-BASE64"}}}}]}`,
	"kinesis":     `{"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": CONTENT, "token": "Zq7Planted9"}}]}`,
	"eventbridge": `{"detail-type": "a", "source": "b", "detail": {"password": "Zq7Planted9", "more": CONTENT}}`,
	"authorizer": `{"version": "2.0", "type": "REQUEST", "identitySource": ["Bearer Zq7Planted9"],
		"requestContext": {"http": {}}, "authorizationToken": "Zq7Planted9"}`,
	"other": `{"headers": [{"name": "X-Api-Key", "value": "Zq7Planted9"}], "JWT": 1, "a": CONTENT}`,
}

const (
	secretHeaders = `{"Authorization": "Bearer Zq7Planted9", "x-api-key": "Zq7Planted9", "x-auth-token": "Zq7Planted9",
		"COOKIE": "a=Zq7Planted9; b=Zq7Planted9", "Referer": "https://h/?token=Zq7Planted9", "content-length": "7"}`
	secretLists = `{"authorization": ["Basic Zq7Planted9", "Zq7Planted9"], "Cookie": ["a=Zq7Planted9"]}`
	secretQuery = `"a=1&code=Zq7Planted9&to=https%3A%2F%2Fh%2F%3Faccess_token%3DZq7Planted9%26x%3D1` +
		`&data=%7B%22token%22%3A%22Zq7Planted9%22%7D"`
)

// secretEvents has each template with each content, plain in many lines and in base64 in one.
func secretEvents(t *testing.T) map[string]string {
	t.Helper()
	events := make(map[string]string)
	for format, template := range eventTemplates {
		for name, body := range secretBodies {
			for _, plain := range []bool{true, false} {
				content := body
				if !plain {
					content = inBase64(body)
				}
				event := strings.NewReplacer("HEADERS", secretHeaders, "LISTS", secretLists, "QUERY", secretQuery, "JWT", jwt,
					"IN-BASE64", inBase64(planted), "CONTENT", asJSON(content), "ENCODED", fmt.Sprint(!plain)).Replace(template)
				if !plain {
					var line bytes.Buffer
					if err := json.Compact(&line, []byte(event)); err != nil {
						t.Fatal(err)
					}
					event = line.String()
				}
				events[fmt.Sprintf("%s-%s-%v", format, name, plain)] = event
			}
		}
	}
	return events
}

// checkRecording fails the test if the recording at path reveals the secret in its files or in what is read from it,
// and returns how many invocations are in it.
func checkRecording(t *testing.T, path string) (n int) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(path, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(name)
		if reveals(text) {
			t.Errorf("%s reveals the secret", name)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
	rec, err := capture.Open(path, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	for line, err := range rec.Lines() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; reveals(line.Data) {
			t.Errorf("a line reveals the secret: %s", line.Data)
		}
	}
	return n
}

func checkSilent(t *testing.T, what string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if reveals([]byte(text)) {
			t.Errorf("%s reveals the secret: %s", what, text)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNoImportRevealsASecret(t *testing.T) {
	t.Chdir(t.TempDir()) // no tandem.yaml is there
	events := secretEvents(t)
	for name, event := range events {
		write(t, filepath.Join("events", name+".json"), event)
	}
	for out, times := range map[string]int{"all.rec": 2, "all.jsonl": 1, "all.jsonl.zst": 1} { // with --append
		for range times {
			code, stdout, stderr := call(t, "capture", "import", "events", "--function", "f", "-o", out, "--append")
			if code != 0 || !strings.Contains(stderr, fmt.Sprintf("%d imported", len(events))) || !strings.Contains(stderr, "secrets replaced: ") {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			checkSilent(t, "what it says", stdout, stderr)
		}
		if n := checkRecording(t, out); n != times*len(events) {
			t.Errorf("%s has %d invocations", out, n)
		}
		if code, stdout, stderr := call(t, "inspect", out, "--secrets"); code != 0 {
			t.Errorf("%s: exit code %d: %s%s", out, code, stdout, stderr)
		}
	}
	_, stdout, stderr := call(t, "capture", "import", "events", "--function", "f", "-o", "-")
	checkSilent(t, "what it writes to stdout", stdout, stderr)

	code, _, stderr := call(t, "capture", "import", "events", "--function", "f", "-o", "plain.rec", "--no-redact")
	if code != 0 {
		t.Fatal(stderr)
	}
	for _, flags := range [][]string{nil, {"--json"}} {
		code, stdout, stderr = call(t, append([]string{"inspect", "plain.rec", "--secrets"}, flags...)...)
		if code != 1 {
			t.Errorf("inspect: exit code %d", code)
		}
		checkSilent(t, "inspect", stdout, stderr)
	}
	rec, err := capture.Open("plain.rec", capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		if !reveals(inv.Event) { // or the test above could not fail
			t.Errorf("there was no secret in %s", inv.Source)
		}
		if !strings.Contains(stdout, `"invocation":"`+inv.ID) {
			t.Errorf("inspect finds nothing in %s", inv.Source)
		}
	}
}

func TestNothingThatIsSaidOfWhatCannotBeImportedRevealsASecret(t *testing.T) {
	t.Chdir(t.TempDir())
	entry := func(request, response string) string {
		return `{"log":{"version":"1.2","creator":{},"entries":[{"request":{"method":"GET","url":"https://h/?code=Zq7Planted9"` + request +
			`},"response":{"status":200,"content":{"size":0}` + response + `}}]}}`
	}
	const end, gor = "\n🐵🙈🙉\n", "1 0123456789abcdef 1500000000000000000\n"
	plain := entry("", "")
	for name, text := range map[string]string{
		"cut.json":     `{"password":"Zq7Planted9`,
		"control.json": "{\"password\":\"\nZq7Planted9\"}",
		"word.json":    planted,
		"lines.jsonl":  "Zq7Planted9\n{\"a\":Zq7Planted9}\n",
		"escape.json":  `{"password":"\qZq7Planted9"}`,
		"number.json":  `{"password":-Zq7Planted9}`,
		"empty.json":   "",
		"header.har":   entry(`,"headers":[{"name":"a Zq7Planted9","value":"Zq7Planted9"}]`, ""),
		"url.har":      strings.ReplaceAll(plain, "https://h", "Zq7Planted9://"),
		"type.har":     entry(`,"headers":"Zq7Planted9"`, ""),
		"encoding.har": entry(`,"postData":{"text":"Zq7Planted9","encoding":"Zq7Planted9"}`, ""),
		"mime.har":     entry(`,"postData":{"mimeType":"Zq7Planted9/x","params":[{"name":"a","value":"Zq7Planted9"}]}`, ""),
		"length.har":   entry(`,"headers":[{"name":"content-length","value":"Zq7Planted9"}]`, ""),
		"method.har":   strings.ReplaceAll(plain, `"GET"`, `"Zq7Planted9"`),
		"error.har":    strings.ReplaceAll(entry("", `,"_error":"net::Zq7Planted9"`), ":200", ":0"),
		"answer.har":   strings.ReplaceAll(plain, `"size":0`, `"text":"Zq7Planted9","encoding":"base64"`),
		"broken.har":   plain + planted,
		"a.gor":        gor + "GET /Zq7Planted9 HTTP/1.1\r\nZq7Planted9\r\n\r\n" + end,
		"b.gor":        gor + "GET / HTTP/1.1\r\n\r\n" + end + "2 Zq7Planted9 x\nHTTP/1.1 Zq7Planted9\r\n\r\n" + end,
	} {
		write(t, name, text)
		out := name + ".rec"
		code, stdout, stderr := call(t, "capture", "import", name, "--function", "f", "-o", out)
		checkSilent(t, name, stdout, stderr)
		if !strings.Contains(stderr, "refused") || code == 0 && strings.HasSuffix(name, ".json") && text != "" {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
		checkRecording(t, out)
	}
}

func TestPinnedObjectsAreSearched(t *testing.T) {
	t.Chdir(t.TempDir())
	w, err := capture.Create("a.rec", capture.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sum, size, err := w.PutObject(strings.NewReader(secretBodies["json"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"i-1", "i-2"} { // each object is searched once
		inv := &capture.Invocation{ID: id, Function: "f", Event: []byte("{}"), Objects: []capture.Object{{Bucket: "b", Key: "k", SHA256: sum, Size: size}}}
		if err := w.Write(inv); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t, "inspect", "a.rec", "--secrets")
	if code != 1 || !strings.Contains(stdout, "i-1 /objects/0/content/password name:password\n") || !strings.Contains(stdout, "2 secrets in 2 invocations") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	checkSilent(t, "inspect", stdout, stderr)
	if err := os.RemoveAll("a.rec/objects"); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := call(t, "inspect", "a.rec", "--secrets"); code != 2 || stdout != "" {
		t.Errorf("without the object: exit code %d: %s", code, stdout)
	}
	if code, _, stderr := call(t, "inspect", "a.rec", "--secrets", "--salvage"); code != 0 || !strings.Contains(stderr, "not searched: ") {
		t.Errorf("without the object, and with --salvage: exit code %d: %s", code, stderr)
	}
}

// TestNoProxyRevealsASecret sends secrets and gets secrets, from an upstream that also answers what is not HTTP.
func TestNoProxyRevealsASecret(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken/"+planted {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(c, "%s\r\n\r\n", planted)
			c.Close()
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: planted})
		w.Header().Set("X-Api-Key", planted)
		w.Header().Set("Location", "https://h/?token="+planted)
		fmt.Fprint(w, secretBodies[r.URL.Query().Get("body")])
	}))
	defer upstream.Close()
	out := filepath.Join(t.TempDir(), "http.rec")
	p, proxy := begin(t, `recording .* on (\S+) to`, lean(), "capture", "http", "--addr", "127.0.0.1:0", "--to",
		strings.Replace(upstream.URL, "http://", "http://bob:Zq7Planted9@", 1), "--function", "f", "-o", out)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	send := func(path, body string) {
		t.Helper()
		r, err := http.NewRequest("POST", proxy+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+planted)
		r.Header.Set("Cookie", "a="+planted)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if _, err := io.ReadAll(answer.Body); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range secretBodies {
		send("/p?body="+name+"&code="+planted, body)
	}
	send("/broken/"+planted, secretBodies["json"])
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code, err := p.finish(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	stderr, _ := p.stderr.read()
	checkSilent(t, "the proxy", p.stdout.String(), string(stderr))
	if !strings.Contains(string(stderr), "a request of $default: no answer from ") {
		t.Errorf("it says: %s", stderr)
	}
	rec, err := capture.Open(out, capture.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	n := 0
	for inv, err := range rec.Invocations() {
		if err != nil {
			t.Fatal(err)
		}
		// A path is not a place for secrets, and no name says that one is there.
		inv.Event = bytes.ReplaceAll(inv.Event, []byte("/broken/"+planted), []byte("/broken/"))
		line, err := inv.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if n++; reveals(line) {
			t.Errorf("a line reveals the secret: %s", line)
		}
	}
	if n != len(secretBodies)+1 {
		t.Errorf("%d invocations", n)
	}
}
