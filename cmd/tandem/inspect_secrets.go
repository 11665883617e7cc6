package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"tandem/capture"
	"tandem/capture/redact"
)

// maxObject is how much of an object is searched, in bytes.
const maxObject = 64 << 20

// A secretFind is a place of a recording that holds a secret. Its JSON form is a promise.
type secretFind struct {
	Invocation string `json:"invocation"`
	redact.Find
}

// inspectSecrets tells where the recording has what redaction would have replaced, and never what it is. With ids it
// looks at these invocations only.
func (a *app) inspectSecrets(ctx context.Context, rec *capture.Recording, ids []string, opts inspectOptions) error {
	redactor, err := a.redactor()
	if err != nil {
		return err
	}
	search := secretSearch{app: a, rec: rec, redactor: redactor, salvage: opts.salvage, objects: make(map[string]bool)}
	out := secretPrinter{to: a.stdout, json: opts.json, kinds: make(map[string]int64)}
	for inv, err := range rec.Invocations() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(ids) > 0 && !slices.Contains(ids, inv.ID) {
			continue
		}
		finds, err := search.invocation(inv)
		if err == nil {
			err = out.print(inv.ID, finds)
		}
		if err != nil {
			return err
		}
	}
	if len(ids) > 0 && out.invocations == 0 {
		return fmt.Errorf("the recording has no invocation %s", ids[0])
	}
	for _, notice := range rec.Notices() {
		a.say("%s", notice)
	}
	if err := out.end(); err != nil {
		return err
	}
	if out.finds > 0 {
		return verdictError(exitDiffers)
	}
	return nil
}

// A secretSearch goes over a recording.
type secretSearch struct {
	*app
	rec      *capture.Recording
	redactor *redact.Redactor
	salvage  bool
	objects  map[string]bool // that were searched, by hash
}

func (s *secretSearch) invocation(inv *capture.Invocation) ([]redact.Find, error) {
	finds := s.redactor.Find(inv)
	for i, o := range inv.Objects {
		if s.rec.Manifest() == nil || s.objects[o.SHA256] { // one file has no objects
			continue
		}
		s.objects[o.SHA256] = true
		content, err := s.object(o.SHA256)
		if err != nil && s.salvage {
			s.say("not searched: %v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range s.redactor.FindText(content) {
			finds = append(finds, redact.Find{At: fmt.Sprintf("/objects/%d/content%s", i, f.At), Kind: f.Kind})
		}
	}
	return finds, nil
}

// object returns the contents of an object, or the beginning of one that is too large, and says so.
func (s *secretSearch) object(sha256 string) ([]byte, error) {
	r, err := s.rec.OpenObject(sha256)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, maxObject+1))
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", sha256, err)
	}
	if len(content) > maxObject {
		s.say("only the first %d MiB of the object %s were searched", maxObject>>20, sha256)
		content = content[:maxObject]
	}
	return content, nil
}

// A secretPrinter prints finds as they come, for there may be many.
type secretPrinter struct {
	to                 io.Writer
	json               bool
	invocations, finds int64
	kinds              map[string]int64
}

func (s *secretPrinter) print(invocation string, finds []redact.Find) error {
	s.invocations++
	for _, f := range finds {
		s.kinds[f.Kind]++
		var err error
		if s.json {
			var doc []byte
			if doc, err = json.Marshal(secretFind{invocation, f}); err != nil {
				return err
			}
			separator := ","
			if s.finds == 0 {
				separator = `{"finds":[`
			}
			_, err = fmt.Fprintf(s.to, "%s\n%s", separator, doc)
		} else {
			_, err = fmt.Fprintf(s.to, "%s %s %s\n", invocation, f.At, f.Kind)
		}
		if err != nil {
			return err
		}
		s.finds++
	}
	return nil
}

func (s *secretPrinter) end() error {
	if s.json {
		kinds, err := json.Marshal(s.kinds)
		if err != nil {
			return err
		}
		begin := "\n"
		if s.finds == 0 {
			begin = `{"finds":[`
		}
		_, err = fmt.Fprintf(s.to, "%s],\n\"kinds\":%s,\"invocations\":%d}\n", begin, kinds, s.invocations)
		return err
	}
	if s.finds == 0 {
		_, err := fmt.Fprintf(s.to, "no secrets in %s\n", count(s.invocations, "invocation"))
		return err
	}
	_, err := fmt.Fprintf(s.to, "\n%s in %s\n", count(s.finds, "secret"), count(s.invocations, "invocation"))
	if err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		if _, err := fmt.Fprintf(s.to, "  %-40s %9d\n", kind, s.kinds[kind]); err != nil {
			return err
		}
	}
	return nil
}
