//go:build unix

package redact

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem/capture"
)

// cpuTime is what this process has used, which does not depend on what else runs.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// What a hostile client sends must not take more than its share of time: as often repeated, each of these begins
// something that has to be looked at.
func TestTimeGrowsWithTheSizeOnly(t *testing.T) {
	r := newRedactor(t, append(everyForm(), Rule{At: "/event/**/a/**/b"})...)
	check := func(name string, doc func(size int) string) {
		t.Helper()
		const small, large = 2 << 10, 64 << 10
		took := func(size, times int) time.Duration {
			inv := &capture.Invocation{Event: json.RawMessage(doc(size))}
			start := cpuTime(t)
			for range times {
				r.Redact(inv)
			}
			return cpuTime(t) - start
		}
		// As much text in both cases. Were it quadratic, the second would take 32 times as long.
		if many, one := took(small, large/small), took(large, 1); one > 10*many+20*time.Millisecond {
			t.Errorf("%q: %v for 32 times 2 KB and %v for 64 KB at once", name, many, one)
		}
	}
	for _, nested := range [][2]string{
		{`[`, `]`}, {`{"a":`, `}`}, {`{"token":`, `}`}, {`{"value":`, `,"name":"token"}`}, {`{"name":"token","value":`, `}`},
		{`{"messageAttributes":`, `,"md5OfMessageAttributes":"x"}`}, {`{"headers":{"content-length":"5"},"body":`, `}`},
	} {
		check(nested[0], func(size int) string {
			n := size / len(nested[0]+nested[1])
			return strings.Repeat(nested[0], n) + `{"token":"x"}` + strings.Repeat(nested[1], n)
		})
	}
	for _, unit := range []string{
		"eyJ.", "eyJ", "?a=", "?a=%", "&token=%26token=", "password=,", `\"token\":`, "://a:b", "AKIA", "4 ", "DE00 ", "1:",
		"a@", "<a:token>", `[`, `{\"a\":`, "-----BEGIN PRIVATE KEY-----", "Bearer ", `name=\"token\"`, "a%", "AccountKey=",
		"<token ", "<token> ", "<token><![CDATA[", "a=b&", "a=%26&", "token = ", "token: ", "https://a0a0a0a0@", "a=b,", "SharedAccessSignature=",
	} {
		check(unit, func(size int) string { return `{"a":"` + strings.Repeat(unit, size/len(unit)) + `"}` })
	}
}
