package main

import (
	"encoding/json"
	"io"
	"time"

	"tandem/capture"
	"tandem/replay"
)

// jsonEvery is how often --progress json says something.
const jsonEvery = time.Second

// progressDoc is one line of --progress json. Its fields are a promise; docs/replay.md describes them.
type progressDoc struct {
	Time      time.Time                    `json:"time"`
	ElapsedMS int64                        `json:"elapsedMs"`
	Total     int64                        `json:"total"`
	Done      int64                        `json:"done"`
	Resumed   int64                        `json:"resumed"`
	WarmedUp  int64                        `json:"warmedUp"`
	InFlight  int64                        `json:"inFlight"`
	Waiting   int64                        `json:"waitingInLanes"`
	Rate      float64                      `json:"rate"`
	LeftMS    *int64                       `json:"leftMs"`
	LateMS    *replay.Spread               `json:"lateMs"`
	Targets   map[string]targetProgressDoc `json:"targets"`
}

type targetProgressDoc struct {
	Fired     int64                    `json:"fired"`
	Done      int64                    `json:"done"`
	Throttled int64                    `json:"throttled"`
	Statuses  map[capture.Status]int64 `json:"statuses"`
	P50MS     float64                  `json:"p50Ms"`
	P99MS     float64                  `json:"p99Ms"`
}

// showJSON writes a document a second, and the last one at the end.
func showJSON(w io.Writer, p *replay.Progress, quit <-chan struct{}) {
	firing := stopwatch{time.Now()}
	last, lastAt := p.Snapshot(), time.Now()
	tick := time.NewTicker(jsonEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-quit:
			ended = true
		}
		s, now := p.Snapshot(), time.Now()
		doc := newProgressDoc(s, firing.elapsed(s))
		doc.Time = now.UTC()
		doc.Rate = float64(s.Done-max(last.Done, s.Resumed)) / max(now.Sub(lastAt).Seconds(), 1e-3)
		last, lastAt = s, now
		// Like all that is said on stderr, it is lost when nobody listens.
		_ = json.NewEncoder(w).Encode(doc)
	}
}

func newProgressDoc(s replay.Snapshot, elapsed time.Duration) *progressDoc {
	d := &progressDoc{
		ElapsedMS: elapsed.Milliseconds(), Total: s.Total, Done: s.Done, Resumed: s.Resumed, WarmedUp: s.WarmedUp,
		InFlight: s.InFlight, Waiting: s.Blocked, LateMS: s.Late, Targets: make(map[string]targetProgressDoc),
	}
	if fired := s.Done - s.Resumed; fired > 0 {
		left := (time.Duration(float64(elapsed) / float64(fired) * float64(s.Total-s.Done))).Milliseconds()
		d.LeftMS = &left
	}
	for _, t := range s.Targets {
		d.Targets[t.Name] = targetProgressDoc{
			Fired: t.Fired, Done: t.Done, Throttled: t.Throttled, Statuses: t.Statuses,
			P50MS: replay.Milliseconds(t.P50), P99MS: replay.Milliseconds(t.P99),
		}
	}
	return d
}
