package compare

import (
	"fmt"

	"tandem/capture"
)

const (
	// LambdaToFunctions is the name of the preset with the differences that the platforms themselves make.
	LambdaToFunctions = "lambda-to-functions"
	// Recorded is the name of the preset with the differences that it makes that an outcome was recorded.
	Recorded = "recording"
)

// Preset returns the rules that a config takes over with "use: name".
//
// The lambda-to-functions preset drops the headers and cookies that the platforms add on their own, and compares of a
// failure only that it is one: behind API Gateway a failure is a 502 with a fixed body, behind the Functions host a
// 500 without any. A message that failed is as good as failed on both sides, whether it was given back to its queue or
// was moved to a poison queue after more attempts. Status, business body, cookies and effects are never in it.
//
// The recording preset is for baselines that were recorded, and for nothing but what redaction has replaced there. That
// a time is another one and an ID a fresh one is for rules that name the place: it could be a fault anywhere else.
func Preset(name string) ([]Rule, error) {
	switch name {
	case LambdaToFunctions:
		return lambdaToFunctions(), nil
	case Recorded:
		return []Rule{{
			At: "/**", Treat: Redacted, Against: []Against{AgainstRecording}, Preset: name,
			Why: "a recording has tokens in the place of secrets, and of these only the form is known",
		}}, nil
	}
	return nil, fmt.Errorf("there is no preset %q, but %s and %s", name, LambdaToFunctions, Recorded)
}

func lambdaToFunctions() (rules []Rule) {
	for _, header := range []string{
		"date", "via", "connection", "keep-alive", "content-length", "transfer-encoding", "server", "request-context",
		"apigw-requestid", "x-amzn-*", "x-amz-*", "x-azure-*", "x-ms-*",
	} {
		rules = append(rules, Rule{At: "/http/headers/" + header, Treat: Ignore, Why: "added by the platform"})
	}
	for _, cookie := range []string{"ARRAffinity", "ARRAffinitySameSite"} {
		rules = append(rules, Rule{At: "/http/cookies/" + cookie, Treat: Ignore, Why: "added by the platform"})
	}
	rules = append(rules, Rule{At: "/error", Treat: Ignore, Why: "each platform words failures in its own way"})
	rules = append(rules, Rule{
		At: "/records/*", Treat: Pattern,
		Matches: "^(" + string(capture.Retried) + "|" + string(capture.DeadLettered) + ")$",
		Why:     "a replay gives Lambda a failing message once, Azure until poison",
	})
	for i := range rules {
		rules[i].Preset = LambdaToFunctions
	}
	return rules
}
