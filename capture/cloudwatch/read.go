package cloudwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go"
)

// A logEvent is one event of a log stream. Text is as it was ingested; one event may have many lines.
type logEvent struct {
	id, stream, text string
	at               int64 // when it happened, in milliseconds
}

// ErrCredentials is wrapped by errors about credentials that are expired or not valid.
var ErrCredentials = errors.New("the AWS credentials are expired or not valid: renew them and go on with --append")

type (
	input  = cloudwatchlogs.FilterLogEventsInput
	output = cloudwatchlogs.FilterLogEventsOutput
)

// A reader makes requests. It is safe for concurrent use.
type reader struct {
	client cloudwatchlogs.FilterLogEventsAPIClient
	quota  *quota
	delay  time.Duration
	logf   func(format string, args ...any)
	loops  sync.Once // tells of tokens that repeat for ever
}

const (
	requestTimeout = time.Minute
	maxDelay       = 20 * time.Second
	// maxFailures is how often one request may fail in a row. With the delays between, that is about five minutes.
	maxFailures = 20
	// toldFailures is when it is told that one fails.
	toldFailures = 3
)

// errToken says that a page token is not accepted any more. Tokens live for 24 hours.
var errToken = errors.New("the page token is not valid any more")

// page makes one request, as often as it takes.
func (r *reader) page(ctx context.Context, in *input) (*output, error) {
	delay := r.delay
	for failures := 1; ; failures++ {
		if err := r.quota.wait(ctx); err != nil {
			return nil, err
		}
		out, err := r.request(ctx, in)
		if err == nil {
			r.quota.succeeded()
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		verdict, final := judge(err, in)
		if final != nil {
			return nil, final
		}
		if failures == maxFailures {
			group := aws.ToString(in.LogGroupIdentifier)
			return nil, fmt.Errorf("read log group %s: %d times in a row: %w", group, failures, err)
		}
		if verdict == slowDown {
			r.quota.throttled(time.Now(), delay)
		} else if failures == toldFailures {
			r.logf("log group %s: a request failed %d times and is tried again: %v", aws.ToString(in.LogGroupIdentifier),
				failures, err)
		}
		if err := sleep(ctx, delay); err != nil {
			return nil, err
		}
		delay = min(2*delay, maxDelay)
	}
}

func (r *reader) request(ctx context.Context, in *input) (*output, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return r.client.FilterLogEvents(ctx, in, func(o *cloudwatchlogs.Options) { o.Retryer = aws.NopRetryer{} })
}

// slowDown is judge's verdict on throttles, tryAgain on whatever may pass.
const (
	tryAgain = iota
	slowDown
)

// judge says what a failed request means. Final is the error to give up with, nil if it makes sense to try again.
func judge(err error, in *input) (verdict int, final error) {
	group := aws.ToString(in.LogGroupIdentifier)
	var api smithy.APIError
	if !errors.As(err, &api) {
		return tryAgain, nil // the network
	}
	switch api.ErrorCode() {
	case "ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded",
		"LimitExceededException":
		return slowDown, nil
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired", "UnrecognizedClientException",
		"InvalidSignatureException", "InvalidClientTokenId", "MissingAuthenticationTokenException":
		return 0, fmt.Errorf("read log group %s: %w (%s)", group, ErrCredentials, api.ErrorMessage())
	case "AccessDeniedException":
		return 0, fmt.Errorf("read log group %s: logs:FilterLogEvents is not allowed: %s", group, api.ErrorMessage())
	case "ResourceNotFoundException":
		return 0, fmt.Errorf("there is no log group %s in this account and region: NAME=GROUP names another", group)
	case "InvalidParameterException":
		if in.NextToken != nil {
			return 0, errToken
		}
	}
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		switch code := answer.HTTPStatusCode(); {
		case code == http.StatusTooManyRequests:
			return slowDown, nil
		case code < http.StatusInternalServerError:
			return 0, fmt.Errorf("read log group %s: %w", group, err)
		}
	}
	return tryAgain, nil
}

// A pager reads one window page by page.
type pager struct {
	*reader
	group string
	window

	start  int64 // where the query begins, which is later than from after a restart
	token  *string
	tokens map[string]bool // that were given out since the query began
	newest int64           // the time of the newest event
	seen   map[string]int64
	stale  int // pages in a row that gave nothing new and a token that was given before
	lost   int // restarts in a row that brought nothing new
	pages  int // that had something new
}

const (
	// slack is how far back a query that starts anew reads, in milliseconds. Events are sorted by time, says
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html.
	slack = 10_000
	// maxStale and maxLost bound the patience with tokens. A token that repeats on an empty page usually works when
	// it is used again: see https://github.com/boto/boto3/issues/1584.
	maxStale = 5
	maxLost  = 2
)

func (r *reader) newPager(group string, w window) *pager {
	return &pager{
		reader: r, group: group, window: w, start: w.from, newest: w.from,
		tokens: make(map[string]bool), seen: make(map[string]int64),
	}
}

// next returns the events of the next page that were not there before; there may be none. more is false when this was
// the last page.
func (p *pager) next(ctx context.Context) (events []logEvent, more bool, err error) {
	out, err := p.page(ctx, &input{
		LogGroupIdentifier: &p.group, StartTime: &p.start, EndTime: aws.Int64(p.to - 1), NextToken: p.token,
	})
	if errors.Is(err, errToken) {
		if p.lost == maxLost {
			return nil, false, fmt.Errorf("read log group %s: %w", p.group, err)
		}
		p.restart()
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	events = p.fresh(out)
	if len(events) > 0 {
		p.lost = 0
		p.pages++
	}
	if out.NextToken == nil {
		return events, false, nil
	}
	return events, p.advance(*out.NextToken, len(events) > 0), nil
}

// advance takes the token of the next page, and reports whether there is one.
func (p *pager) advance(token string, progress bool) bool {
	if progress || !p.tokens[token] {
		p.stale = 0
	} else if p.stale++; p.stale == maxStale {
		if p.lost == maxLost {
			p.loops.Do(func() {
				p.logf("log group %s: page tokens repeat and give nothing new after %s: taken as the end of %s, and so "+
					"from now on", p.group, clock(p.newest), p.window)
			})
			return false
		}
		p.restart()
		return true
	}
	p.tokens[token] = true
	p.token = &token
	return true
}

// restart begins a new query a little before the newest event that was read.
func (p *pager) restart() {
	p.lost++
	p.stale = 0
	p.token = nil
	clear(p.tokens)
	p.start = max(p.from, p.newest-slack)
}

// fresh returns the events of a page that were not there before, in order of time.
func (p *pager) fresh(out *output) []logEvent {
	events := make([]logEvent, 0, len(out.Events))
	for _, e := range out.Events {
		l := logEvent{
			id: aws.ToString(e.EventId), stream: aws.ToString(e.LogStreamName), text: aws.ToString(e.Message),
			at: aws.ToInt64(e.Timestamp),
		}
		if l.at < p.from || l.at >= p.to {
			continue
		}
		if _, twice := p.seen[l.id]; twice && l.id != "" {
			continue
		}
		p.seen[l.id] = l.at
		p.newest = max(p.newest, l.at)
		events = append(events, l)
	}
	for id, at := range p.seen { // a new query gives nothing older
		if at < p.newest-slack {
			delete(p.seen, id)
		}
	}
	slices.SortStableFunc(events, func(a, b logEvent) int { return cmp.Compare(a.at, b.at) })
	return events
}

func (w window) String() string { return clock(w.from) + " to " + clock(w.to) }

// clock formats a log time.
func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
