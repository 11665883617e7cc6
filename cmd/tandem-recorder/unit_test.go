//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tandem/capture"
	"tandem/capture/collector"
	"tandem/capture/runtimeapi"
	"tandem/capture/wiretap"
)

func TestConfigIsReadOrAllThatIsWrongIsTold(t *testing.T) {
	tests := []struct {
		name, reason string
		variables    map[string]string
		check        func(c config) bool
		wrong        []string
	}{
		{
			name: "defaults", reason: "a sink is all that is needed", variables: map[string]string{"TANDEM_SINK": "log:"},
			check: func(c config) bool {
				return c.upstream == "127.0.0.1:9001" && c.sample == 1 && c.maxEvent > 6<<20 && c.concurrency == 1 &&
					c.flushTimeout == time.Second && c.buffer == 16<<20
			},
		},
		{
			name: "all", reason: "every variable counts",
			variables: map[string]string{
				"TANDEM_SINK": "https://u:p@host/x", "TANDEM_SINK_TOKEN": "t", "TANDEM_SAMPLE": "0.5",
				"TANDEM_KEEP_PER_SHAPE": "3", "TANDEM_SAMPLE_REST": "10", "TANDEM_MAX_EVENT": "100", "TANDEM_BUFFER": "200",
				"TANDEM_FLUSH_TIMEOUT": "5ms", "TANDEM_PORT": "9", "TANDEM_RUNTIME_API": "127.0.0.1:8",
				"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_MAX_CONCURRENCY": "4",
			},
			check: func(c config) bool {
				c.sink, c.redactor = nil, nil
				return c == config{
					platform: "127.0.0.1:9001", upstream: "127.0.0.1:8", port: 9, function: "f", token: "t", sample: 0.5,
					keepPerShape: 3, sampleRest: 10, maxEvent: 100, buffer: 200, flushTimeout: 5 * time.Millisecond,
					concurrency: 4,
				}
			},
		},
		{name: "path with slashes", reason: "both ways to write a file URL",
			variables: map[string]string{"TANDEM_SINK": "file:///tmp/x"},
			check:     func(c config) bool { return filePath(c.sink) == "/tmp/x" }},
		{
			name: "everything wrong", reason: "one look at the log has to do",
			variables: map[string]string{
				"TANDEM_SINK": "s3:///secret", "TANDEM_SAMPLE": "NaN", "TANDEM_KEEP_PER_SHAPE": "0",
				"TANDEM_MAX_EVENT": "1e3", "TANDEM_FLUSH_TIMEOUT": "-1s", "TANDEM_RUNTIME_API": "host",
			},
			wrong: []string{
				"TANDEM_SINK is none of", `TANDEM_SAMPLE="NaN"`, `TANDEM_KEEP_PER_SHAPE="0"`, `TANDEM_MAX_EVENT="1e3"`,
				`TANDEM_FLUSH_TIMEOUT="-1s"`, `"host"`,
			},
		},
		{
			name: "redaction", reason: "it is on unless it is turned off",
			variables: map[string]string{
				"TANDEM_SINK": "log:", "TANDEM_REDACT": "[{form: email}]", "TANDEM_REDACT_KEY": "0123456789abcdef",
			},
			check: func(c config) bool {
				source, _ := c.redactor.Key()
				inv := &capture.Invocation{Event: []byte(`{"to":"a.person@example.org","password":"hunter2"}`)}
				_, replaced := c.redactor.Redact(inv)
				return source == capture.KeyGiven && len(replaced) == 2
			},
		},
		{name: "no redaction", reason: "who wants secrets has to say so",
			variables: map[string]string{"TANDEM_SINK": "log:", "TANDEM_NO_REDACT": "1"},
			check:     func(c config) bool { return c.redactor == nil }},
		{name: "a rule that is none", reason: "nothing is recorded rather than secrets",
			variables: map[string]string{"TANDEM_SINK": "log:", "TANDEM_REDACT": "[{form: emial}]"},
			wrong:     []string{"TANDEM_REDACT: "}},
		{name: "a short key", reason: "it could be guessed; it is not told",
			variables: map[string]string{"TANDEM_SINK": "log:", "TANDEM_REDACT_KEY": "secret"},
			wrong:     []string{"TANDEM_REDACT_KEY: "}},
		{name: "a mistaken no", reason: "it is not taken for one",
			variables: map[string]string{"TANDEM_SINK": "log:", "TANDEM_NO_REDACT": "yes"},
			wrong:     []string{"TANDEM_NO_REDACT"}},
		{name: "no URL", reason: "a password is not told",
			variables: map[string]string{"TANDEM_SINK": "https://secret\x00"},
			wrong:     []string{"not a URL"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := readConfig(func(name string) string {
				if name == "AWS_LAMBDA_RUNTIME_API" {
					return "127.0.0.1:9001"
				}
				return test.variables[name]
			})
			if (err != nil) != (test.wrong != nil) || err == nil && !test.check(c) {
				t.Errorf("%s: got %+v, %v", test.reason, c, err)
			}
			for _, text := range test.wrong {
				if err != nil && (!strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "secret")) {
					t.Errorf("%s: the error has no %q, or has a secret: %v", test.reason, text, err)
				}
			}
		})
	}
}

func FuzzParseSink(f *testing.F) {
	f.Add("file:/tmp/x")
	f.Add("s3://bucket/prefix")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseSink(text)
		if (u == nil) != (err != nil) {
			t.Fatalf("%v, %v", u, err)
		}
		if u != nil && newSink(config{sink: u}, nil) == nil {
			t.Fatalf("no sink for %q", text)
		}
	})
}

func TestSamplesAreOfTheSizeAskedFor(t *testing.T) {
	event := func(i int) []byte { return fmt.Appendf(nil, `{"n":%d}`, i) }
	tests := []struct {
		name, reason string
		config       config
		event        func(i int) []byte
		low, high    int // of 1000
	}{
		{"all", "the default", config{sample: 1}, event, 1000, 1000},
		{"none", "a switch", config{sample: 0}, event, 0, 0},
		{"a tenth", "about", config{sample: 0.1}, event, 70, 130},
		{"five of a shape", "and then none", config{sample: 1, keepPerShape: 5}, event, 5, 5},
		{"five and a tenth", "five, and 99 of the 995 others", config{sample: 1, keepPerShape: 5, sampleRest: 10}, event,
			104, 104},
		{"two shapes", "each has its own count", config{sample: 1, keepPerShape: 5}, func(i int) []byte {
			return [][]byte{[]byte(`{"n":1}`), []byte(`{"s":""}`)}[i%2]
		}, 10, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &sampler{config: test.config, shapes: make(map[string]int)}
			n := 0
			for i := range 1000 {
				inv := &capture.Invocation{Event: test.event(i), Context: capture.Context{RequestID: fmt.Sprint(i)}}
				if s.keep(inv) {
					n++
				}
			}
			if n < test.low || n > test.high {
				t.Errorf("%s: %d are kept, want %d to %d", test.reason, n, test.low, test.high)
			}
		})
	}
}

// scriptedSink answers as it is told, and then takes everything.
type scriptedSink struct {
	answers []func(n int) (int, error)

	mu   sync.Mutex
	took []string
	lost int64
}

func (s *scriptedSink) send(_ context.Context, batch []*capture.Invocation, lost int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := len(batch), error(nil)
	if len(s.answers) > 0 {
		answer := s.answers[0]
		s.answers = s.answers[1:]
		n, err = answer(n)
	}
	for _, inv := range batch[:n] {
		s.took = append(s.took, string(inv.Event))
	}
	s.lost = lost
	return n, err
}

func (s *scriptedSink) close() error { return nil }

func TestSpoolLosesNothingThatASinkWillTake(t *testing.T) {
	failed := errors.New("failed")
	refuse := func(int) (int, error) { return 0, fmt.Errorf("%w: bad", collector.ErrRefused) }
	tests := []struct {
		name, reason string
		answers      []func(n int) (int, error)
		took         []string
		lost         map[string]int64
	}{
		{name: "at once", reason: "the usual case", took: []string{"0", "1", "2"}},
		{name: "later", reason: "an error is tried again in the same flush", took: []string{"0", "1", "2"},
			answers: []func(int) (int, error){func(int) (int, error) { return 0, failed }}},
		{name: "in part", reason: "what is durable is not sent again", took: []string{"0", "1", "2"},
			answers: []func(int) (int, error){func(int) (int, error) { return 2, failed }}},
		{name: "panic", reason: "a mistake in a sink is an error", took: []string{"0", "1", "2"},
			answers: []func(int) (int, error){func(int) (int, error) { panic("mistake") }}},
		{name: "refused", reason: "what is never taken is not kept", answers: []func(int) (int, error){refuse},
			lost: map[string]int64{lostRefused: 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sink := &scriptedSink{answers: test.answers}
			s := newSpool(sink, config{sink: &url.URL{}, buffer: 1 << 20, flushTimeout: time.Minute}, quiet)
			s.lostBefore(4)
			s.hold(true)
			for i := range 3 {
				if err := s.Write(&capture.Invocation{Event: []byte(fmt.Sprint(i))}); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s.flush(ctx, false)
			durable, waiting, lost := s.counts()
			if diff := cmp.Diff(test.took, sink.took); diff != "" || waiting != 0 || durable != int64(len(test.took)) {
				t.Errorf("%s: %d durable, %d waiting, took (-want +got):\n%s", test.reason, durable, waiting, diff)
			}
			if test.lost == nil {
				test.lost = map[string]int64{}
			}
			if diff := cmp.Diff(test.lost, lost); diff != "" {
				t.Errorf("%s: lost (-want +got):\n%s", test.reason, diff)
			}
			s.close(ctx)
			if want := 4 + lost[lostRefused]; lost[lostRefused] > 0 && sink.lost != want {
				t.Errorf("the sink knows of %d losses, want %d", sink.lost, want)
			}
			if err := s.Write(&capture.Invocation{Event: []byte("1")}); err != nil {
				t.Error(err)
			}
			if _, _, lost := s.counts(); lost[lostAtEnd] != 1 {
				t.Errorf("what comes after the end is not counted: %v", lost)
			}
		})
	}
}

func TestLedgerAddsUp(t *testing.T) {
	var out bytes.Buffer
	l := &ledger{log: log.New(&out, "", 0)}
	see := func(n int) {
		for range n {
			l.saw()
		}
	}
	see(5)
	l.reported(report{Recorded: 2, Sampled: 1, Waiting: 1, Lost: map[string]int64{"a": 1}})
	if got := l.died(); got != 4 { // the next one may still see the fifth
		t.Errorf("the first worker has settled %d", got)
	}
	see(2)
	if seen, settled, lost := l.account(); seen != 7 || settled != 4 || lost != 1 {
		t.Errorf("the next worker is told of %d, %d, %d", seen, settled, lost)
	}
	l.reported(report{Recorded: 1, Lost: map[string]int64{"a": 1}})
	l.died()
	l.turnOff() // with one that nobody has settled
	see(2)
	if got, want := l.end(), "9 invocations: 3 recorded, 1 not sampled, 5 lost"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := `lost 1 invocations: 1 a
lost 1 invocations: 1 a
lost 1 invocations: 1 not seen whole by the recorder
lost 2 invocations: 2 the recorder is off
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// A worker accounts for what has passed at a command, if the command is its own: what was told to one that is dead
// counts from elsewhere.
func TestWorkerAccountsForWhatItShouldHaveSeen(t *testing.T) {
	s := newSpool(&scriptedSink{}, config{sink: &url.URL{}, buffer: 1 << 20, flushTimeout: time.Minute}, quiet)
	w := &worker{number: 2, spool: s, recorder: runtimeapi.NewRecorder(runtimeapi.RecorderOptions{Sink: s})}
	w.assembler = wiretap.NewAssembler(w.recorder.Observer(), 100)
	var frames bytes.Buffer
	for _, text := range []string{
		`{"n":1,"worker":1,"invoke":"a","seen":9}`, `{"n":1,"worker":2,"invoke":"a","seen":9,"settled":6}`,
	} {
		if err := wiretap.NewEncoder(&frames).Encode(wiretap.Segment{Kind: wiretap.Note, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	commands := make(chan command, 2)
	d := wiretap.NewDecoder(&frames)
	for range 2 {
		if err := w.next(d, commands); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, lost := s.counts(); len(commands) != 1 || lost[lostUnseen] != 3 {
		t.Errorf("%d commands, lost %v", len(commands), lost)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s.close(ctx)
}
