package eventhub

import (
	"context"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

// A store is a checkpoint store that the processor uses, and that notes what the processor does not tell: which
// partitions it has, from when on, and why it could not begin them.
//
// The processor goes on with a partition after its checkpoints could not be read as if somebody read it.
type store struct {
	azeventhubs.CheckpointStore

	mu          sync.Mutex
	checkpoints map[string]int64     // the sequence numbers that were read last
	owned       map[string]time.Time // since when
	failed      error                // why checkpoints could not be read
	others      map[string]claim
}

// A claim is another process's on a partition.
type claim struct {
	etag    azcore.ETag
	renewed time.Time // when it was seen to have changed; zero while it was seen once
}

func newStore(s azeventhubs.CheckpointStore) *store {
	return &store{CheckpointStore: s, checkpoints: make(map[string]int64), owned: make(map[string]time.Time),
		others: make(map[string]claim)}
}

func (s *store) ListCheckpoints(ctx context.Context, namespace, hub, group string,
	opts *azeventhubs.ListCheckpointsOptions) ([]azeventhubs.Checkpoint, error) {
	list, err := s.CheckpointStore.ListCheckpoints(ctx, namespace, hub, group, opts)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		s.failed = err
	}
	for _, c := range list {
		if c.SequenceNumber != nil {
			s.checkpoints[c.PartitionID] = *c.SequenceNumber
		}
	}
	return list, err
}

func (s *store) ClaimOwnership(ctx context.Context, wanted []azeventhubs.Ownership,
	opts *azeventhubs.ClaimOwnershipOptions) ([]azeventhubs.Ownership, error) {
	got, err := s.CheckpointStore.ClaimOwnership(ctx, wanted, opts)
	if err != nil {
		return got, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	owned := make(map[string]time.Time)
	for _, o := range got {
		since, ok := s.owned[o.PartitionID]
		if !ok {
			since = time.Now()
		}
		owned[o.PartitionID] = since
	}
	s.owned = owned
	return got, nil
}

func (s *store) ListOwnership(ctx context.Context, namespace, hub, group string,
	opts *azeventhubs.ListOwnershipOptions) ([]azeventhubs.Ownership, error) {
	list, err := s.CheckpointStore.ListOwnership(ctx, namespace, hub, group, opts)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range list {
		if o.ETag == nil {
			continue
		}
		c, seen := s.others[o.PartitionID]
		switch {
		case !seen || o.OwnerID == "":
			c = claim{etag: *o.ETag}
		case c.etag != *o.ETag:
			c = claim{*o.ETag, time.Now()}
		}
		s.others[o.PartitionID] = c
	}
	return list, err
}

// elsewhere reports whether a partition is claimed by another process that has renewed its claim since then.
func (s *store) elsewhere(partition string, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ours := s.owned[partition]
	return !ours && s.others[partition].renewed.After(since)
}

// checkpoint returns the sequence number of a partition's checkpoint, -1 for none.
func (s *store) checkpoint(partition string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.checkpoints[partition]; ok {
		return n
	}
	return -1
}

// err returns why checkpoints could not be read.
func (s *store) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// claims returns the partitions that this process has, and since when.
func (s *store) claims() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned // never changed, only replaced
}
