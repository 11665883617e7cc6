package replay

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/capture"
)

// LanesOf returns the lanes of an invocation, each once: "sqs:<queue ARN>/<group>" for each FIFO message group and
// "s3:<bucket>/<key>" for each object in the event, with keys decoded, and "kinesis:<stream ARN>/<shard>".
// Invocations that share a lane are fired one after the other, as the platform does; without a lane, order does not
// matter. The order within a lane is that of the recording: sequence numbers are not looked at.
func LanesOf(inv *capture.Invocation) []string {
	stream := inv.Format == capture.FormatKinesis
	if inv.Trigger != capture.TriggerSQS && inv.Trigger != capture.TriggerS3 && !stream {
		return nil
	}
	var event struct {
		Records []struct {
			EventSourceARN string `json:"eventSourceARN"`
			EventID        string `json:"eventID"` // of Kinesis: the shard, a colon and the sequence number
			Attributes     struct {
				MessageGroupID string `json:"MessageGroupId"`
			} `json:"attributes"`
			S3 struct {
				Bucket struct {
					Name string `json:"name"`
				} `json:"bucket"`
				Object struct {
					Key string `json:"key"`
				} `json:"object"`
			} `json:"s3"`
		} `json:"Records"`
	}
	if json.Unmarshal(inv.Event, &event) != nil {
		return nil // no target can make anything of it either
	}
	var lanes []string
	for _, r := range event.Records {
		var lane string
		switch {
		case inv.Trigger == capture.TriggerSQS && r.Attributes.MessageGroupID != "":
			lane = "sqs:" + r.EventSourceARN + "/" + r.Attributes.MessageGroupID
		case inv.Trigger == capture.TriggerS3 && r.S3.Object.Key != "":
			key, err := url.QueryUnescape(r.S3.Object.Key)
			if err != nil {
				key = r.S3.Object.Key
			}
			lane = "s3:" + r.S3.Bucket.Name + "/" + key
		case stream:
			shard, _, _ := strings.Cut(r.EventID, ":")
			lane = "kinesis:" + r.EventSourceARN + "/" + shard
		default:
			continue
		}
		if !slices.Contains(lanes, lane) {
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

// A shot is one invocation on its way through a run.
type shot struct {
	n        int64 // its invocation's position in the recording
	pass     int   // of the recording, from 0
	seq      int64 // its place among all that were selected, over all passes
	inv      *capture.Invocation
	lanes    []string
	blockers int // lanes in which another shot is ahead

	due   time.Duration // from the begin of the firing, as all moments here are
	ready time.Duration // when no other was ahead in its lanes
	free  bool          // it could be fired at the moment when it was due
	warm  bool          // it is fired to warm up
}

// lanes says which shots may be fired. It holds only lanes that have a shot in them, so it does not grow with the
// recording. Shots that wait for one another always do so in the order in which they were added, so there is no
// deadlock, whatever lanes they share. It is not safe for concurrent use.
type lanes map[string][]*shot

// add puts s at the end of its lanes and reports whether it may be fired at once.
func (l lanes) add(s *shot) (ready bool) {
	for _, lane := range s.lanes {
		if len(l[lane]) > 0 {
			s.blockers++
		}
		l[lane] = append(l[lane], s)
	}
	return s.blockers == 0
}

// done takes s, which was ready, out of its lanes and appends to ready the shots that may be fired now.
func (l lanes) done(s *shot, ready []*shot) []*shot {
	for _, lane := range s.lanes {
		queue := l[lane][1:]
		if len(queue) == 0 {
			delete(l, lane)
			continue
		}
		l[lane][0] = nil // let go of s
		l[lane] = queue
		if queue[0].blockers--; queue[0].blockers == 0 {
			ready = append(ready, queue[0])
		}
	}
	return ready
}
