package importer

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/jsonval"
)

// importFile imports one file for the function f.
func importFile(t testing.TB, path string, opts Options) (Result, []*capture.Invocation, error) {
	t.Helper()
	var sink memory
	opts.Function, opts.Sink = "f", &sink
	r, err := Import(t.Context(), []string{path}, opts)
	checkSum(t, r, &sink)
	return r, sink.invs, err
}

// importText imports a file with this content.
func importText(t testing.TB, name, content string, opts Options) (Result, []*capture.Invocation, error) {
	t.Helper()
	return importFile(t, filepath.Join(folder(t, map[string]string{name: content}), name), opts)
}

// importBytes imports what would be in a file, by one of the ways to read it.
func importBytes(t testing.TB, data []byte, opts Options, read func(*importer, origin, *bufio.Reader) error) (
	Result, []*capture.Invocation, error,
) {
	t.Helper()
	var sink memory
	opts.Sink = &sink
	im, err := newImporter(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	err = read(im, origin{path: "a", function: "f"}, bufio.NewReader(bytes.NewReader(data)))
	checkSum(t, im.result, &sink)
	return im.result, sink.invs, err
}

func checkJSON(t *testing.T, why string, doc []byte, want map[string]string) {
	t.Helper()
	v, err := jsonval.Parse(doc)
	if err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	for path, value := range want {
		expect, err := jsonval.Parse([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		if got := v.At(strings.Split(path, ".")...); !jsonval.Equal(got, expect) {
			t.Errorf("%s: %s is %s, want %s", why, path, got, value)
		}
	}
}

func checkOutcome(t *testing.T, why string, got, want *capture.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", why, diff)
	}
}

// checkRecordable checks that invocations can be written and read again.
func checkRecordable(t *testing.T, invs []*capture.Invocation) {
	t.Helper()
	for _, inv := range invs {
		line, err := inv.AppendJSON(nil)
		if err != nil {
			t.Fatalf("%q cannot be recorded: %v", inv.Event, err)
		}
		again, err := capture.ParseInvocation(line)
		if err != nil || !bytes.Equal(again.Event, inv.Event) {
			t.Fatalf("%q comes back as %v, %v", inv.Event, again, err)
		}
		if _, format := capture.Detect(inv.Event); format != inv.Format {
			t.Fatalf("%s is taken for %s", inv.Event, format)
		}
	}
}

func TestRequestsThatAReplaySentAreLeftOut(t *testing.T) {
	marked := entry(`"method":"GET","url":"https://h/x","headers":[{"name":"Tandem-Trial","value":"r/i/t/0"}]`, "", "")
	r, invs, err := importText(t, "a.har", archive(marked), Options{})
	if err != nil || len(invs) != 0 || r.Excluded != 1 || r.Refused != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTheStageIsTakenOffThePathAndPutBackAsTheGatewayDoes(t *testing.T) {
	const host = "a1.execute-api.eu-west-1.amazonaws.com"
	text := archive(entry(`"method":"GET","url":"https://`+host+`/dev/orders/7?a=1"`, "", ""))
	opts := Options{Stage: "dev", Routes: []string{"GET /orders/{id}"}}
	for format, want := range map[capture.Format]map[string]string{
		capture.FormatAPIGatewayV2: {
			"rawPath": `"/dev/orders/7"`, "requestContext.stage": `"dev"`, "pathParameters.id": `"7"`,
		},
		capture.FormatAPIGatewayV1: {
			"path": `"/orders/7"`, "requestContext.path": `"/dev/orders/7"`, "pathParameters.id": `"7"`,
		},
	} {
		opts.Format = format
		_, invs, err := importText(t, "a.har", text, opts)
		if err != nil || len(invs) != 1 {
			t.Fatalf("%d invocations, %v", len(invs), err)
		}
		checkJSON(t, string(format), invs[0].Event, want)
	}
}

func TestFilesAreToldApartByTheirContents(t *testing.T) {
	har := "\ufeff\n" + archive(entry(`"method":"GET","url":"https://h/1"`, "", ""))
	gor, err := os.ReadFile("testdata/shop.gor")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text     string
		imported int
	}{
		"har.json":        {har, 1},
		"har.txt":         {har, 1},
		"har.json.gz":     {zipped(t, har), 1},
		"gor.har":         {string(gor), 6},
		"gor":             {string(gor), 6},
		"shop_0.gor.gz":   {zipped(t, string(gor[:400])) + zipped(t, string(gor[400:])), 6}, // GoReplay appends
		"event.json":      {`{"log":{"level":"info"}}`, 1},
		"event.txt":       {`{"a":1}`, 0},
		"lines.gor.jsonl": {"1\n2\n", 2},
	} {
		_, invs, err := importText(t, name, tc.text, Options{})
		if err != nil || len(invs) != tc.imported {
			t.Errorf("%s: %d invocations, want %d; %v", name, len(invs), tc.imported, err)
		}
	}
}

func TestOptionsForTrafficAreChecked(t *testing.T) {
	for _, opts := range []Options{{Format: capture.FormatSQS}, {Format: "nonsense"}, {Routes: []string{"nonsense"}}} {
		if opts.Check() == nil {
			t.Errorf("%+v is taken", opts)
		}
		opts.Sink = &memory{}
		if _, err := Import(t.Context(), nil, opts); err == nil {
			t.Errorf("%+v is taken by Import", opts)
		}
	}
	_, _, err := importText(t, "a.har", archive(entry("", "", "")), Options{})
	if err != nil {
		t.Error(err)
	}
	dir := folder(t, map[string]string{"a.har": archive(entry("", "", ""))})
	if _, err := Import(t.Context(), []string{dir}, Options{Sink: &memory{}}); !errors.Is(err, ErrNoFunction) {
		t.Errorf("without a function: %v", err)
	}
}
