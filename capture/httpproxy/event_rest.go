package httpproxy

import (
	"net/http"
	"strings"

	"tandem/capture"
)

type eventV1 struct {
	Resource          string              `json:"resource"`
	Path              string              `json:"path"`
	Method            string              `json:"httpMethod"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters    map[string]string   `json:"pathParameters"`
	StageVariables    map[string]string   `json:"stageVariables"`
	RequestContext    contextV1           `json:"requestContext"`
	Body              *string             `json:"body"`
	Base64            bool                `json:"isBase64Encoded"`
}

type contextV1 struct {
	AccountID        string     `json:"accountId"`
	APIID            string     `json:"apiId"`
	DomainName       string     `json:"domainName"`
	DomainPrefix     string     `json:"domainPrefix"`
	HTTPMethod       string     `json:"httpMethod"`
	Identity         identityV1 `json:"identity"`
	Path             string     `json:"path"`
	Protocol         string     `json:"protocol"`
	RequestID        string     `json:"requestId"`
	RequestTime      string     `json:"requestTime"`
	RequestTimeEpoch int64      `json:"requestTimeEpoch"` // in milliseconds
	ResourcePath     string     `json:"resourcePath"`
	Stage            string     `json:"stage"`
}

type identityV1 struct {
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// EventV1 makes the event of a REST API's Lambda proxy integration. The path and its parameters stay encoded; query
// values are decoded, so that how they were encoded is lost, as it is on AWS. Names of headers are in canonical case,
// because the case in which they came is not known. A body is text, and base64 only when it is not UTF-8, as with an
// API that lists its media type as binary. Source:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html.
func EventV1(r *http.Request, body []byte, a Arrival) ([]byte, error) {
	path, query := rawTarget(r)
	header := eventHeader(r, body, a)
	domain, prefix := domainOf(header.Get("Host"))
	stage := a.Stage
	if stage == "" || stage == DefaultRoute {
		stage = "prod" // a REST API has no $default stage
	}
	resource := a.Match.Route.Path
	if resource == "" {
		resource = "/{proxy+}"
	}
	text, base64 := encodeBody(body, true)
	e := &eventV1{
		Resource: resource, Path: path, Method: r.Method,
		Headers: lastValues(header), MultiValueHeaders: header, PathParameters: a.Match.Params,
		RequestContext: contextV1{
			AccountID: accountID, APIID: prefix, DomainName: domain, DomainPrefix: prefix, HTTPMethod: r.Method,
			Identity: identityV1{SourceIP: sourceIP(r), UserAgent: r.UserAgent()},
			Path:     "/" + stage + path, Protocol: r.Proto, RequestID: a.RequestID,
			RequestTime: a.Time.UTC().Format(clfTime), RequestTimeEpoch: a.Time.UnixMilli(),
			ResourcePath: resource, Stage: stage,
		},
		Body: text, Base64: base64,
	}
	if a.Match.Route.Path == "" {
		e.PathParameters = map[string]string{"proxy": strings.TrimPrefix(path, "/")}
	}
	if values := decodedQuery(query); len(values) > 0 {
		e.Query, e.MultiValueQuery = lastValues(values), values
	}
	return marshal(e)
}

type eventALB struct {
	RequestContext    contextALB          `json:"requestContext"`
	Method            string              `json:"httpMethod"`
	Path              string              `json:"path"`
	Query             map[string]string   `json:"queryStringParameters,omitempty"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters,omitempty"`
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Body              string              `json:"body"`
	Base64            bool                `json:"isBase64Encoded"`
}

type contextALB struct {
	ELB struct {
		TargetGroupARN string `json:"targetGroupArn"`
	} `json:"elb"`
}

// EventALB makes the event that an Application Load Balancer sends to a Lambda target. Nothing of the path and the
// query is decoded. Where the target group does not have multi-value headers on, the last value of a repeated header
// or parameter is the one that is there. A body is text by the rule of [EventV2], but never when it has a content
// encoding. Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html.
func EventALB(r *http.Request, body []byte, a Arrival) ([]byte, error) {
	path, query := rawTarget(r)
	header := eventHeader(r, body, a)
	values := make(map[string][]string)
	rawPairs(query, func(name, value string) { values[name] = append(values[name], value) })
	lower := make(map[string][]string, len(header))
	for name, v := range header {
		lower[strings.ToLower(name)] = v
	}
	e := &eventALB{Method: r.Method, Path: path}
	e.RequestContext.ELB.TargetGroupARN = "arn:aws:elasticloadbalancing:us-east-1:" + accountID +
		":targetgroup/tandem/0000000000000000"
	if a.MultiValue {
		e.MultiValueHeaders, e.MultiValueQuery = lower, values
	} else {
		e.Headers, e.Query = lastValues(lower), lastValues(values)
	}
	asText := isText(header.Get("Content-Type")) && header.Get("Content-Encoding") == ""
	if text, base64 := encodeBody(body, asText); text != nil {
		e.Body, e.Base64 = *text, base64
	}
	return marshal(e)
}

func lastValues(values map[string][]string) map[string]string {
	last := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) > 0 {
			last[name] = v[len(v)-1]
		}
	}
	return last
}

// isHTTP says whether NewEvent can make an event of the format.
func isHTTP(format capture.Format) bool {
	switch format {
	case capture.FormatAPIGatewayV2, capture.FormatAPIGatewayV1, capture.FormatFunctionURL, capture.FormatALB:
		return true
	}
	return false
}
