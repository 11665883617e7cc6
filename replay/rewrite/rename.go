package rewrite

import (
	"regexp"
	"strings"

	"tandem/capture/jsonval"
)

// A namePlace is where events have the name of something: at a pointer or in a header, in texts of a form, where NAME
// stands for the name.
type namePlace struct{ at, header, form string }

// Forms of names. A bucket's and a queue's are case-sensitive, a host's is not.
const (
	bare      = `^(NAME)$`
	host      = `^((?i)NAME)(?::\d+)?$`
	hostOfURL = `^[A-Za-z][A-Za-z0-9+.-]*://((?i)NAME)(?::\d+)?(?:[/?#]|$)`
	bucketARN = `^arn:[^:]*:s3:::(NAME)(?:/|$)`
	queueARN  = `^arn:[^:]*:sqs:[^:]*:[^:]*:(NAME)$`
)

var hostPlaces = []namePlace{
	{header: "host", form: host},
	{header: "x-forwarded-host", form: host},
	{header: "origin", form: hostOfURL},
	{header: "referer", form: hostOfURL},
	{at: "/requestContext/domainName", form: host},
}

// bucketPlaces begin with ** where notifications travel in messages of queues and topics. Sources:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html, ev-events.html and
// batch-ops-invoke-lambda.html of the same guide, and for CloudTrail's
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
var bucketPlaces = []namePlace{
	{at: "/**/s3/bucket/name", form: bare},
	{at: "/**/s3/bucket/arn", form: bucketARN},
	{at: "/**/detail/bucket/name", form: bare},
	{at: "/**/detail/requestParameters/bucketName", form: bare},
	{at: "/**/detail/resources/*/ARN", form: bucketARN},
	{at: "/**/resources/*", form: bucketARN},
	{at: "/Records/*/eventSourceARN", form: bucketARN},
	{at: "/tasks/*/s3BucketArn", form: bucketARN},
}

var queuePlaces = []namePlace{{at: "/Records/*/eventSourceARN", form: queueARN}}

// renames returns the rules that a Rename stands for.
func (rn *Rename) rules(places []namePlace) ([]rule, error) {
	var rules []rule
	for _, p := range places {
		r := rule{patterns: headerPatterns(p.header)}
		if p.header == "" {
			segments, err := parsePattern(p.at)
			if err != nil {
				return nil, err
			}
			r.patterns = []pattern{{segments: segments}}
		}
		form, err := regexp.Compile(strings.Replace(p.form, "NAME", regexp.QuoteMeta(rn.From), 1))
		if err != nil {
			return nil, err
		}
		r.text = func(text []byte) ([]jsonval.Edit, verdict) {
			at := form.FindSubmatchIndex(text)
			if at == nil {
				return nil, passed
			}
			return []jsonval.Edit{{Start: at[2], End: at[3], Text: []byte(rn.To)}}, took
		}
		rules = append(rules, r)
	}
	return rules, nil
}
