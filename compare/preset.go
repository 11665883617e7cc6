package compare

import (
	"fmt"

	"tandem/capture"
)

// LambdaToFunctions is the name of the preset with the differences that the platforms themselves make.
const LambdaToFunctions = "lambda-to-functions"

// Preset returns the rules that a config takes over with "use: name".
//
// The lambda-to-functions preset drops the headers and cookies that the platforms add on their own, and compares of a
// failure only that it is one: behind API Gateway a failure is a 502 with a fixed body, behind the Functions host a
// 500 without any. A message that failed is as good as failed on both sides, whether it was given back to its queue or
// was moved to a poison queue after more attempts. Status, business body, cookies and effects are never in it.
func Preset(name string) ([]Rule, error) {
	if name != LambdaToFunctions {
		return nil, fmt.Errorf("there is no preset %q: the one there is is %s", name, LambdaToFunctions)
	}
	var rules []Rule
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
		rules[i].Preset = name
	}
	return rules, nil
}
