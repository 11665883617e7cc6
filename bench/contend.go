package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"tandem/capture"
	"tandem/replay"
	"tandem/replay/functions"
	"tandem/replay/lambda"
)

// A job is what one contender has to do.
type job struct {
	url, dir string
	requests int
	inFlight int
	rate     float64
}

// A finding is what a contender says of itself on stdout: the rest is measured from outside.
type finding struct {
	Requests int
	Seconds  float64 // of the requests
	ErrorMS  *replay.Spread
}

// contend does one job and prints its finding.
func contend(name string, args []string) error {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	var j job
	f.StringVar(&j.url, "url", "", "of the server")
	f.StringVar(&j.dir, "dir", "", "that is the contender's own")
	f.IntVar(&j.requests, "requests", 1000, "")
	f.IntVar(&j.inFlight, "in-flight", 16, "")
	f.Float64Var(&j.rate, "rate", 0, "invocations a second, for pace")
	profile := f.String("cpuprofile", "", "file")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	do := map[string]func(job) (*finding, error){
		"vegeta": fireVegeta, "tandem": fireTandem, "sdk": fireSDK, "invoke": fireInvoke, "pace": fireTandem,
	}[name]
	found, err := do(j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

const path, order = "/orders", `{"customer":"c-17","lines":[{"sku":"A1","quantity":2}]}`

// fireVegeta does what `vegeta attack -rate 0 > results.bin` does.
func fireVegeta(j job) (*finding, error) {
	file, err := os.Create(filepath.Join(j.dir, "results.bin"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	encoder := vegeta.NewEncoder(file)
	attacker := vegeta.NewAttacker(
		vegeta.Workers(uint64(j.inFlight)), vegeta.MaxWorkers(uint64(j.inFlight)), vegeta.Connections(j.inFlight),
	)
	targeter := vegeta.NewStaticTargeter(vegeta.Target{
		Method: http.MethodPost, URL: j.url + path, Body: []byte(order),
		Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"shop/1.0"}},
	})
	start := time.Now()
	left := j.requests
	for r := range attacker.Attack(targeter, vegeta.Rate{}, 0, "bench") {
		if left--; left >= 0 {
			if r.Error != "" {
				return nil, errors.New(r.Error)
			}
			if err := encoder.Encode(r); err != nil {
				return nil, err
			}
		}
		if left == 0 {
			attacker.Stop()
		}
	}
	return &finding{Requests: j.requests, Seconds: time.Since(start).Seconds()}, nil
}

// fireTandem replays a recording at two targets.
func fireTandem(j job) (*finding, error) {
	var targets []replay.Deployment
	client := replay.NewHTTPClient(replay.HTTPOptions{InFlight: j.inFlight})
	for _, name := range []string{"lambda", "functions"} {
		target, err := functions.NewHTTP(functions.HTTPOptions{URL: j.url + "/{path}", HTTP: client})
		if err != nil {
			return nil, err
		}
		targets = append(targets, replay.Deployment{Name: name, Target: target})
	}
	return replayAt(j, targets)
}

// fireInvoke replays a recording at Lambda's Invoke API.
func fireInvoke(j job) (*finding, error) {
	client := replay.NewHTTPClient(replay.HTTPOptions{InFlight: j.inFlight})
	target := lambda.New(lambda.Options{Client: lambda.NewClient(awsConfig(client), j.url), Function: "orders"})
	return replayAt(j, []replay.Deployment{{Name: "lambda", Target: target}})
}

func replayAt(j job, targets []replay.Deployment) (*finding, error) {
	recording := filepath.Join(j.dir, "..", fmt.Sprintf("%d.rec", j.requests/len(targets)))
	rec, err := capture.Open(recording, capture.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer rec.Close()
	debug.SetGCPercent(400) // as the command does
	start := time.Now()
	m, err := replay.Run(context.Background(), context.Background(), replay.Options{
		Recording: rec, Dir: filepath.Join(j.dir, "run"), InFlight: j.inFlight / len(targets),
		Targets: map[string][]replay.Deployment{"create-order": targets}, Pace: replay.Pace{Rate: j.rate},
	})
	if err != nil {
		return nil, err
	}
	for name, counts := range m.Counts.Outcomes {
		if counts[capture.StatusOK] != m.Counts.Invocations || !m.Complete {
			return nil, fmt.Errorf("%s: %v", name, counts)
		}
	}
	return &finding{
		Requests: int(m.Counts.Trials) * len(targets), Seconds: time.Since(start).Seconds(), ErrorMS: m.Pace.ErrorMS,
	}, nil
}

// writeRecording writes what tandem replays.
func writeRecording(path string, invocations int) error {
	w, err := capture.Create(path, capture.CreateOptions{})
	if err != nil {
		return err
	}
	for i := range invocations {
		event := fmt.Sprintf(`{"version":"2.0","routeKey":"$default","rawPath":"/orders","rawQueryString":"",`+
			`"headers":{"content-type":"application/json","user-agent":"shop/1.0"},`+
			`"requestContext":{"http":{"method":"POST","path":"/orders"},"requestId":"r%d"},"body":%q,"isBase64Encoded":false}`,
			i, order)
		err := w.Write(&capture.Invocation{
			Function: "create-order", Trigger: capture.TriggerHTTP, Format: capture.FormatAPIGatewayV2,
			Time: time.Unix(int64(i), 0), Event: json.RawMessage(event),
		})
		if err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

func awsConfig(client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""), HTTPClient: client,
	}
}

// fireSDK invokes in loops with the SDK's own client, and does nothing with the answers.
func fireSDK(j job) (*finding, error) {
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = j.inFlight
	})
	client := lambda.NewClient(awsConfig(transport), j.url)
	event := []byte(fmt.Sprintf(`{"version":"2.0","rawPath":"/orders","body":%q}`, order))
	var group sync.WaitGroup
	errs := make(chan error, j.inFlight)
	start := time.Now()
	for range j.inFlight {
		group.Go(func() {
			for range j.requests / j.inFlight {
				out, err := client.Invoke(context.Background(), &sdk.InvokeInput{
					FunctionName: aws.String("orders"), InvocationType: types.InvocationTypeRequestResponse,
					LogType: types.LogTypeTail, Payload: event,
				})
				if err == nil && !bytes.Contains(out.Payload, []byte("A-1002")) {
					err = errors.New("another answer")
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return &finding{Requests: j.requests / j.inFlight * j.inFlight, Seconds: time.Since(start).Seconds()}, <-errs
}
