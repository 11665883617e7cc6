package functions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tandem/capture"
	"tandem/replay/completion"
)

// await waits until the fate of each upload is known. An error says what is not known.
func (b *Blob) await(ctx context.Context, uploads []*upload) error {
	var keys []completion.Key
	for _, u := range uploads {
		keys = append(keys, b.key(u.name, u.etag), b.key(u.name, ""))
	}
	wait := b.opts.Board.Expect(keys...)
	defer wait.Close()
	var trouble error // why the last look at storage told less than it could
	pause := firstLook
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		pending, err := b.judge(wait, uploads)
		if err != nil || len(pending) == 0 {
			return err
		}
		select {
		case <-wait.News():
		case <-timer.C:
			if err := b.look(ctx, pending); ctx.Err() == nil {
				trouble = err
			}
			pause = min(pause*3/2, longestLook)
			timer.Reset(pause)
		case <-ctx.Done():
			return b.unknown(ctx, pending, trouble)
		}
	}
}

func (b *Blob) key(name, etag string) completion.Key {
	return completion.Blob(b.opts.Container, name, etag)
}

// judge puts together what was heard, and returns the uploads whose fate is not known yet.
func (b *Blob) judge(wait *completion.Wait, uploads []*upload) (pending []*upload, err error) {
	for _, u := range uploads {
		if u.fate != "" {
			continue
		}
		reports := wait.Reports(b.key(u.name, u.etag))
		for _, r := range wait.Reports(b.key(u.name, "")) {
			// Such a report may be about an upload before this one.
			if !u.ambiguous && !u.modified.IsZero() && !r.Time.Before(u.modified) {
				reports = append(reports, r)
			}
		}
		finding, settled, err := completion.Judge(append(reports, u.evidence...), b.opts.Attempts)
		switch {
		case err != nil:
			return nil, fmt.Errorf("blob %s: %w", u.name, err)
		case settled:
			u.fate, u.first = finding.Fate, finding.First
		default:
			pending = append(pending, u)
		}
	}
	return pending, nil
}

// look asks storage about uploads. What it tells becomes their evidence.
func (b *Blob) look(ctx context.Context, pending []*upload) error {
	worked, err := b.worked(ctx, pending)
	// The host writes to the poison queue before it deletes its own message, so what is not there now will not come.
	poison, whole, poisonErr := b.host.peek(ctx)
	if poisonErr != nil {
		return poisonErr
	}
	for _, u := range pending {
		report := completion.Report{Key: b.key(u.name, u.etag), Source: "storage"}
		switch {
		case b.isAmong(poison, u):
			report.Settled = capture.DeadLettered
		case !worked[u]:
			continue
		case !whole:
			return fmt.Errorf("queue %s has messages that cannot be looked at, because there are more than %d or somebody "+
				"has taken them: clear it", poisonBlobs, maxPeek)
		default:
			report.Settled = capture.Acked
		}
		u.evidence = []completion.Report{report}
	}
	return err
}

// worked returns the uploads that the host has queued and is done with, one way or the other.
func (b *Blob) worked(ctx context.Context, pending []*upload) (map[*upload]bool, error) {
	if b.opts.EventGrid { // the host keeps no receipts then, and nothing says which queue it has
		return nil, nil
	}
	for _, u := range pending {
		var err error
		// It is asked each time, because another host may have one by now.
		if u.receipt, err = b.host.receipt(ctx, b.opts, u); err != nil {
			return nil, err
		}
	}
	// Messages are counted when all receipts were read: a count from before a receipt does not have its message.
	worked := make(map[*upload]bool)
	empty := make(map[string]bool) // the queue of which host
	for _, u := range pending {
		if u.receipt == "" {
			continue
		}
		if _, counted := empty[u.receipt]; !counted {
			var err error
			if empty[u.receipt], err = b.host.empty(ctx, u.receipt); err != nil {
				return nil, err
			}
		}
		if !empty[u.receipt] {
			continue
		}
		// The host does not call the function for a blob that is gone or was written again. ETags do not come back.
		if got, err := b.looks.NewBlobClient(u.name).GetProperties(ctx, nil); err != nil {
			return nil, fmt.Errorf("blob %s: %s", u.name, brief(err))
		} else if got.ETag == nil || strings.Trim(string(*got.ETag), `"`) != u.etag {
			return nil, fmt.Errorf("blob %s was written again by somebody else", u.name)
		}
		worked[u] = true
	}
	return worked, nil
}

func (b *Blob) isAmong(poison []blobMessage, u *upload) bool {
	for _, m := range poison {
		if m.ContainerName == b.opts.Container && m.BlobName == u.name && strings.Trim(m.ETag, `"`) == u.etag &&
			m.isOf(b.opts.Function) {
			return true
		}
	}
	return false
}

// unknown says what is not known of each upload, and why.
func (b *Blob) unknown(ctx context.Context, pending []*upload, trouble error) error {
	says := make([]string, 0, len(pending)+1)
	for _, u := range pending {
		switch {
		case b.opts.EventGrid:
			says = append(says, fmt.Sprintf("nothing was heard of blob %s", u.name))
		case u.receipt == "":
			says = append(says, fmt.Sprintf("the host has no receipt for blob %s: does the app run, and is that in its path?",
				u.name))
		default:
			says = append(says, fmt.Sprintf("the host has queued blob %s, and its queue is not empty since", u.name))
		}
	}
	if trouble != nil {
		says = append(says, trouble.Error())
	}
	return fmt.Errorf("%w: container %s: %s", context.Cause(ctx), b.opts.Container, strings.Join(says, "; "))
}
