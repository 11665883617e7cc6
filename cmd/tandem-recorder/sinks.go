package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/oklog/ulid/v2"

	"tandem/capture"
	"tandem/capture/collector"
	"tandem/capture/journal"
	"tandem/capture/logchunk"
)

// newSink returns the sink that a config asks for. It is opened when it is first used, because it may fail.
func newSink(c config, stdout io.Writer) sink {
	instance := ulid.Make().String()
	switch c.sink.Scheme {
	case "file":
		return &fileSink{path: filePath(c.sink), redactor: c.redactor}
	case "s3":
		return &s3Sink{to: c.sink, function: c.function, instance: instance}
	case "log":
		return &logSink{out: stdout}
	default:
		return &httpSink{client: collector.Client{
			URL: c.sink, Token: c.token, Instance: instance,
			HTTP: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}},
		}}
	}
}

// A fileSink keeps a recording on the local disk.
type fileSink struct {
	path     string
	redactor capture.Redactor // nil for none
	w        *capture.Writer  // nil while it is not open
	told     int64
}

func (s *fileSink) send(_ context.Context, batch []*capture.Invocation, lost int64) (int, error) {
	if s.w == nil {
		w, err := capture.Create(s.path, capture.CreateOptions{
			Append: true, Tool: version, Redactor: s.redactor, Journal: journal.WriterOptions{FrameBytes: 256 << 10},
		})
		if err != nil {
			return 0, err
		}
		s.w = w
	}
	before := s.w.Stats().FlushedLines
	var err error
	for _, inv := range batch {
		if err = s.w.Write(inv); err != nil {
			break
		}
	}
	if err == nil {
		err = s.w.Flush()
	}
	if err == nil {
		s.w.AddLost(lost - s.told)
		s.told = lost
		return len(batch), nil
	}
	// A writer that has failed does not work again; what it has written is there.
	s.w.Close() //nolint:errcheck // it says the same
	n := int(s.w.Stats().FlushedLines - before)
	s.w = nil
	return n, fmt.Errorf("record into %s: %w", s.path, err)
}

func (s *fileSink) close() error {
	if s.w == nil {
		return nil
	}
	return s.w.Close()
}

// An httpSink posts to a collector.
type httpSink struct{ client collector.Client }

func (s *httpSink) send(ctx context.Context, batch []*capture.Invocation, lost int64) (int, error) {
	if err := s.client.Send(ctx, batch, lost); err != nil {
		return 0, err
	}
	return len(batch), nil
}

func (s *httpSink) close() error {
	s.client.HTTP.CloseIdleConnections()
	return nil
}

// A logSink writes chunks of lines to the log of the environment.
type logSink struct{ out io.Writer }

func (s *logSink) send(_ context.Context, batch []*capture.Invocation, _ int64) (int, error) {
	for i, inv := range batch {
		line, err := inv.AppendJSON(nil)
		if err != nil {
			return i, err
		}
		chunks, err := logchunk.Append(nil, inv.ID, line)
		if err != nil {
			return i, err
		}
		if _, err := s.out.Write(chunks); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

func (s *logSink) close() error { return nil }

// An s3Sink puts one object a batch: PREFIX/DATE/INSTANCE/invocations-000001.jsonl.zst and on. The number of
// invocations lost so far is in the object's metadata, as tandem-lost.
type s3Sink struct {
	to       *url.URL // s3://bucket/prefix
	function string
	instance string
	client   *s3.Client // nil until it is used
	put      int
	date     string // of the next object; kept until it is there, so that trying again cannot double it
}

func (s *s3Sink) send(ctx context.Context, batch []*capture.Invocation, lost int64) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	if s.client == nil {
		cfg, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return 0, err
		}
		s.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
			o.Retryer = aws.NopRetryer{} // the spool tries again
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		})
	}
	body, err := collector.AppendBatch(nil, batch)
	if err != nil {
		return 0, err
	}
	if s.date == "" {
		s.date = time.Now().UTC().Format(time.DateOnly)
	}
	name := fmt.Sprintf("invocations-%06d.jsonl.zst", s.put+1)
	key := path.Join(strings.Trim(s.to.Path, "/"), s.date, s.instance, name)
	_, err = s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:      &s.to.Host,
		Key:         &key,
		Body:        bytes.NewReader(body),
		ContentType: aws.String("application/zstd"),
		Metadata:    map[string]string{"tandem-lost": strconv.FormatInt(lost, 10), "tandem-function": s.function},
	})
	if err != nil {
		return 0, err
	}
	s.put++
	s.date = ""
	return len(batch), nil
}

func (s *s3Sink) close() error { return nil }
