package replay_test

import (
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"tandem/replay"
)

func TestNothingIsFiredAtProductionThatIsNotNamed(t *testing.T) {
	recording := writeRecording(t, selectable(4)...)
	tests := []struct {
		name         string
		environments [3]replay.Environment // of create-order/lambda, create-order/functions, get-order/lambda
		only, allow  []string
		want         string // in the error; "" when it is fired
	}{
		{"on this machine", [3]replay.Environment{}, nil, nil, ""},
		{"all declared", [3]replay.Environment{replay.Sandbox, replay.Staging, replay.Sandbox}, nil, nil, ""},
		{"production", [3]replay.Environment{"", replay.Production}, nil, nil,
			"create-order/functions (at b) is production: nothing is fired at it without --allow-production create-order/functions"},
		{"production that is named", [3]replay.Environment{"", replay.Production}, nil, []string{"create-order/functions"}, ""},
		{"one of two is named", [3]replay.Environment{replay.Production, replay.Production}, nil,
			[]string{"create-order/functions"}, "create-order/lambda (at a) is production"},
		{"its counterpart is named", [3]replay.Environment{replay.Production}, nil, []string{"create-order/functions"},
			"create-order/lambda (at a) is production"},
		{"half a name", [3]replay.Environment{replay.Production}, nil, []string{"create-order"}, "there is no such target, but"},
		{"a name in other letters", [3]replay.Environment{replay.Production}, nil, []string{"Create-Order/lambda"},
			"there is no such target, but create-order/functions, create-order/lambda, get-order/lambda"},
		{"what is not production is named", [3]replay.Environment{replay.Staging}, nil, []string{"create-order/lambda"},
			"the config does not say that it is production"},
		{"production of what is not selected", [3]replay.Environment{"", "", replay.Production},
			[]string{"function=create-order"}, nil, ""},
		{"production of what is selected", [3]replay.Environment{"", "", replay.Production},
			[]string{"function=get-order"}, nil, "get-order/lambda (at c) is production"},
		{"undeclared", [3]replay.Environment{replay.Undeclared}, nil, nil, "create-order/lambda (at a) is not on this machine"},
		{"undeclared and named", [3]replay.Environment{replay.Undeclared}, nil, []string{"create-order/lambda"},
			"create-order/lambda (at a) is not on this machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int64
			opts := optionsFor(t, recording, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				echo(w, r)
			})
			list := opts.Targets["create-order"]
			opts.Targets["get-order"] = []replay.Deployment{list[0]}
			opts.Targets["get-order"][0].Environment, opts.Targets["get-order"][0].Address = tt.environments[2], "at c"
			list[0].Environment, list[0].Address = tt.environments[0], "at a"
			list[1].Environment, list[1].Address = tt.environments[1], "at b"
			opts.Select.Only, opts.AllowProduction = tt.only, tt.allow

			f, err := replay.Foresee(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			m, err := replay.Run(t.Context(), t.Context(), opts)
			if (err == nil) != (len(f.Refused) == 0) {
				t.Errorf("foreseen %q, and the run says %v", f.Refused, err)
			}
			if tt.want != "" {
				_, missing := os.Stat(opts.Dir)
				if err == nil || !strings.Contains(err.Error(), tt.want) || requests.Load() > 0 || missing == nil {
					t.Errorf("error %v with %d requests, want %q in it, no request and no run", err, requests.Load(), tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(m.AllowProduction, " "); got != strings.Join(tt.allow, " ") {
				t.Errorf("the manifest tells of %q, want %q", got, tt.allow)
			}
			if got := m.Targets[0].Environment; got != tt.environments[0] {
				t.Errorf("the manifest has environment %q, want %q", got, tt.environments[0])
			}
		})
	}
}
