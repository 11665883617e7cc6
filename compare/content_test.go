package compare

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"tandem/capture"
	"tandem/capture/jsonval"
	"tandem/replay"
)

// contentTypes are of all forms of content that are told apart.
var contentTypes = []string{
	"", "application/json", "application/problem+json; charset=utf-8", "application/x-ndjson", "text/xml", "application/soap+xml",
	"application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/mixed; boundary=\"b\"", "text/plain",
	"text/csv; charset=iso-8859-1", "text/plain; charset=utf-16", "text/plain; charset=x-nobody", "application/octet-stream", "image/png", "nonsense;",
}

var contentCodings = []string{"", "", "", "gzip", "deflate", "br", "zstd", "gzip, br", "identity", "utf-8"}

// randomContent is often what its media type says, and sometimes broken.
func randomContent(r *rand.Rand, media string) []byte {
	list := func(sep string, item func() string) string {
		items := make([]string, 1+r.IntN(4))
		for i := range items {
			items[i] = item()
		}
		return strings.Join(items, sep)
	}
	text := ""
	switch {
	case strings.Contains(media, "ndjson") || media == "" && r.IntN(2) == 0:
		text = list("\n", func() string { return randomValue(r, 2) })
	case strings.Contains(media, "xml"):
		text = randomXML(r, 3)
	case strings.Contains(media, "urlencoded"):
		text = list("&", func() string {
			return string(rune('a'+r.IntN(3))) + "=" + []string{"1", "%20", "+", "%zz", ""}[r.IntN(5)]
		})
	case strings.HasPrefix(media, "multipart"):
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.SetBoundary("b")
		for range 1 + r.IntN(3) {
			_ = w.WriteField(string(rune('a'+r.IntN(3))), randomValue(r, 1))
		}
		_ = w.Close()
		text = b.String()
	case strings.Contains(media, "json"):
		text = randomValue(r, 3)
	default:
		text = list("\n", func() string { return []string{"a", "b", "é", "\xff", "\ud7ff", "{"}[r.IntN(6)] })
	}
	if r.IntN(5) == 0 {
		at := r.IntN(len(text) + 1)
		text = text[:at] + []string{"", "\xff", "<", "\x00", "é"}[r.IntN(5)] + text[min(len(text), at+r.IntN(2)):]
	}
	return []byte(text)
}

func randomXML(r *rand.Rand, depth int) string {
	name := string(rune('a' + r.IntN(3)))
	attribute := []string{"", ` x="1"`, ` x="1" y="2"`, ` xmlns="u"`, ` xml:space="preserve"`}[r.IntN(5)]
	var content strings.Builder
	for range r.IntN(4) {
		if depth > 0 && r.IntN(2) == 0 {
			content.WriteString(randomXML(r, depth-1))
		} else {
			content.WriteString([]string{" ", "t", "&amp;", "<![CDATA[<]]>", "<!--c-->", "&e;"}[r.IntN(6)])
		}
	}
	return "<" + name + attribute + ">" + content.String() + "</" + name + ">"
}

// encoded does what Content-Encoding says, as far as it is a coding.
func encoded(t testing.TB, coding string, plain []byte) []byte {
	t.Helper()
	for _, c := range strings.Split(coding, ", ") {
		var b bytes.Buffer
		switch c {
		case "gzip":
			w := gzip.NewWriter(&b)
			_, _ = w.Write(plain)
			_ = w.Close()
		case "br":
			w := brotli.NewWriterLevel(&b, 0)
			_, _ = w.Write(plain)
			_ = w.Close()
		case "zstd":
			w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<15))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(plain)
			_ = w.Close()
		default:
			continue
		}
		plain = b.Bytes()
	}
	return plain
}

func answerOf(media, coding string, body []byte) *capture.Outcome {
	a := &capture.HTTPAnswer{Status: 200, Headers: map[string][]string{}, Body: capture.NewBody(media, body)}
	if media != "" {
		a.Headers["content-type"] = []string{media}
	}
	if coding != "" {
		a.Headers["content-encoding"] = []string{coding}
	}
	return &capture.Outcome{Status: capture.StatusOK, HTTP: a}
}

func TestContentOfAnyTypeIsLikeItselfAndDiffersInBothDirections(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	matchedOnes := 0
	for range 1000 {
		media, coding := contentTypes[random.IntN(len(contentTypes))], contentCodings[random.IntN(len(contentCodings))]
		plain := randomContent(random, media)
		one := answerOf(media, coding, encoded(t, coding, plain))
		if random.IntN(2) == 0 {
			plain = randomContent(random, media)
		}
		if random.IntN(10) == 0 {
			coding = "gzip" // which it is not
		}
		two := answerOf(media, coding, encoded(t, coding, plain))
		for _, o := range []*capture.Outcome{one, two} {
			if got := judged(t, labelled{}, o, reread(t, o)); len(got) > 0 {
				t.Fatalf("an answer and itself: %q in %s", got, mustJSON(t, o))
			}
		}
		there, back := judged(t, labelled{}, one, two), judged(t, labelled{}, two, one)
		if !equalCounts(kindsOf(there, true), kindsOf(back, false)) {
			t.Fatalf("%q, but swapped %q: %s %s", there, back, mustJSON(t, one), mustJSON(t, two))
		}
		if len(there) == 0 {
			matchedOnes++
		}
	}
	if matchedOnes < 200 || matchedOnes > 900 {
		t.Errorf("%d pairs matched: the test shows little", matchedOnes)
	}
}

func equalCounts(a, b map[Kind]int) bool {
	for k := range mirrored {
		if a[k] != b[k] {
			return false
		}
	}
	return true
}

// What one way of writing a header makes of it, it leaves alone.
func FuzzHeadersAreWrittenInOneWay(f *testing.F) {
	names := []string{"content-type", "vary", "allow", "cache-control", "content-language", "link", "expires", "x-other"}
	for _, list := range corpus(f) {
		for _, l := range list {
			for _, o := range []*capture.Outcome{l.Baseline, l.Candidate} {
				if o.HTTP == nil {
					continue
				}
				for _, values := range o.HTTP.Headers {
					f.Add(strings.Join(values, ", "))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		var none jsonval.Value
		for _, name := range names {
			once := headerText(name, text, &none)
			if twice := headerText(name, once, &none); twice != once {
				t.Errorf("%s: %q becomes %q, and that %q", name, text, once, twice)
			}
		}
		if date, ok := cookieDate(text); ok {
			if again, ok := cookieDate(cookieAttribute("expires", text)); !ok || !again.Equal(date) {
				t.Errorf("the date %q is %v, and once written %v", text, date, again)
			}
		}
	})
}

func FuzzContent(f *testing.F) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, media := range contentTypes {
		for _, coding := range slices.Compact(slices.Clone(contentCodings)) {
			f.Add(media, coding, encoded(f, coding, randomContent(random, media)))
		}
	}
	f.Fuzz(func(t *testing.T, media, coding string, raw []byte) {
		one := answerOf(media, coding, raw)
		if strings.ToValidUTF8(media+coding, "") != media+coding {
			return // no outcome can be written with it
		}
		if got := judged(t, labelled{}, one, reread(t, one)); len(got) > 0 {
			t.Errorf("an answer and itself: %q", got)
		}
		// One more byte is told, if not everywhere: what readers skip is skipped.
		two := answerOf(media, coding, append(slices.Clone(raw), 'x'))
		there, back := judged(t, labelled{}, one, two), judged(t, labelled{}, two, one)
		if !equalCounts(kindsOf(there, true), kindsOf(back, false)) {
			t.Errorf("%q, but swapped %q", there, back)
		}
	})
}

func TestBodiesThatGrowWhenTheyAreReadAreComparedAsTheyWereSent(t *testing.T) {
	huge := make([]byte, maxDecoded+1)
	for _, tt := range []struct {
		name, media, coding string
		body                []byte
	}{
		{"gzip", "text/plain", "gzip", encoded(t, "gzip", huge)},
		{"zstandard", "text/plain", "zstd", encoded(t, "zstd", huge)},
		{"within bounds", "text/plain", "zstd", encoded(t, "zstd", huge[:1])},
	} {
		v := newDocument(answerOf(tt.media, tt.coding, tt.body)).root.At("body")
		if _, ok := v.Get("sha256"); ok != (tt.name != "within bounds") {
			t.Errorf("%s: it became %.80s", tt.name, v)
		}
	}
	entities := `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>`
	deep := strings.Repeat("<a>", 100_000) + strings.Repeat("</a>", 100_000)
	many := "<a>" + strings.Repeat("<b/>", maxXMLNodes) + "</a>"
	for name, text := range map[string]string{"entities": entities, "deep": deep, "many": many} {
		if v := newDocument(answerOf("text/xml", "", []byte(text))).root.At("body"); v.Kind != jsonval.String || v.Text != text {
			t.Errorf("%s: it became %.80s", name, v)
		}
	}
	nested := "x"
	for i := range maxNesting + 3 {
		nested = fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n%s\r\n--b%d--\r\n", i, i-1, nested, i)
	}
	v := newDocument(answerOf(fmt.Sprintf("multipart/mixed; boundary=b%d", maxNesting+2), "", []byte(nested))).root.At("body")
	if depth := strings.Count(v.String(), `"parts"`); depth != maxNesting {
		t.Errorf("multipart bodies were read %d deep", depth)
	}
	if parts := newDocument(answerOf("multipart/mixed; boundary=b", "", []byte(strings.Repeat("--b\r\n\r\n", maxFormParts+1)+"\r\n--b--"))); parts.root.At("body").Kind != jsonval.String {
		t.Error("a body of too many parts was read")
	}
}

// Different rule sets are compiled once, whichever goroutine meets them first.
func TestNarrowRulesApplyFromManyGoroutines(t *testing.T) {
	set, err := newRuleSet([]Rule{
		{At: "/body/a", Treat: Ignore, Why: "w", HTTPStatus: []string{"4xx"}}, {At: "/body/a", Treat: Ignore, Why: "w", On: []string{"g"}},
		{At: "/body/a", Treat: Ignore, Why: "w", Trigger: []capture.Trigger{capture.TriggerSQS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	j := judge{baseline: "lambda", candidate: "functions", rules: set}
	done := make(chan map[string]class)
	for range 4 {
		go func() {
			got := make(map[string]class)
			for _, function := range []string{"f", "g"} {
				for _, status := range []int{200, 404} {
					trial := &replay.Trial{Invocation: "i", Function: function, Trigger: capture.TriggerHTTP, Outcomes: map[string]*capture.Outcome{}}
					for i, name := range []string{"lambda", "functions"} {
						trial.Outcomes[name] = &capture.Outcome{Status: capture.StatusOK, HTTP: &capture.HTTPAnswer{
							Status: status, Body: &capture.Body{JSON: json.RawMessage(fmt.Sprintf(`{"a":%d}`, i))}}}
					}
					got[fmt.Sprint(function, status)] = j.compare(trial, newTally(3)).class
				}
			}
			done <- got
		}()
	}
	want := map[string]class{"f200": differed, "f404": matched, "g200": matched, "g404": matched}
	for range 4 {
		if got := <-done; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the classes are %v, want %v", got, want)
		}
	}
	if n := len(set.together); n != 4 {
		t.Errorf("%d combinations of rules were compiled", n)
	}
}

// What is made of another form than JSON reads as some JSON, which is another body all the same.
func TestNoJSONEqualsAnotherFormOfContent(t *testing.T) {
	for _, tt := range []struct{ media, raw, want string }{
		{"application/x-ndjson", "{\"a\":1}\n{\"b\":2}\n", "lines of JSON for one JSON object"},
		{"", "{\"a\":1}\n{\"b\":2}\n", "lines of JSON for one JSON object"},
		{"application/xml", "<a>1</a>", "XML for one JSON object"},
		{"application/x-www-form-urlencoded", "a=1", "form fields for one JSON object"},
		{"multipart/mixed; boundary=b", "--b\r\n\r\n1\r\n--b--\r\n", "a multipart body for one JSON object"},
		{"", "\xff\xfe", "bytes for one JSON object"},
	} {
		other := content{body: capture.NewBody(tt.media, []byte(tt.raw)), media: tt.media}.value()
		looks := value(t, other.String())
		if found := explain("/body", other, clone(other)); len(found) > 0 {
			t.Errorf("%s and itself: %v", tt.want, found)
		}
		if digest(nil, &looks) == digest(nil, &other) {
			t.Errorf("%s: one digest", tt.want)
		}
		found := explain("/body", looks, other)
		if len(found) != 1 || found[0].Kind != TypeOf || found[0].Path != "/body" {
			t.Errorf("%s: %v", tt.want, found)
			continue
		}
		if causes, named := causesOf(found[0]); !named || !slices.Contains(causes, tt.want) {
			t.Errorf("the causes are %q, want %q", causes, tt.want)
		}
		if b, c := shown(found[0], found[0].Baseline), shown(found[0], found[0].Candidate); *b == *c {
			t.Errorf("%s: both are shown as %s", tt.want, *b)
		}
	}
}
