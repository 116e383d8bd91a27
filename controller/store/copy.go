package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ErrOccupied: where a copy is to go to there is something already.
var ErrOccupied = errors.New("the target already has stored states")

// Copy copies the states of all syncs, with the revisions that they keep, and
// names the syncs. Nothing is written where
// one of them cannot be read, nor, unless force is given, where the target holds
// any. With force those of the same syncs are replaced, and others stay. Each is
// read back and compared. After an error some may be copied: Copy them again,
// with force. A state folder remembers in its ledger that what it holds is as new as
// what was copied.
func Copy(ctx context.Context, from, to Records, force bool) ([]string, error) {
	syncs, err := copyAll(ctx, from, to, force)
	f, isFolder := to.(*File)
	if err != nil || !isFolder {
		return syncs, err
	}
	ledger, err := OpenLedger(f.Folder())
	if err != nil {
		return syncs, err
	}
	return syncs, ledger.copied(ctx, to, syncs)
}

func copyAll(ctx context.Context, from, to Records, force bool) ([]string, error) {
	syncs, err := from.Syncs(ctx)
	if err != nil {
		return nil, err
	}
	there, err := to.Syncs(ctx)
	if err != nil {
		return nil, err
	}
	if len(there) > 0 && !force {
		return nil, fmt.Errorf("%w: of %s", ErrOccupied, strings.Join(there, ", "))
	}
	states := make([]State, len(syncs))
	for i, sync := range syncs {
		if states[i], err = from.Peek(ctx, sync); err != nil {
			return nil, fmt.Errorf("nothing was copied: %w", err)
		}
	}
	for i, sync := range syncs {
		if err := copyKept(ctx, from, to, sync, states[i]); err != nil {
			return syncs[:i], err
		}
		if err := copyOne(ctx, to, sync, states[i]); err != nil {
			return syncs[:i], err
		}
	}
	return syncs, nil
}

// copyKept copies what a state names. What is not there any more costs the way
// back to it, there as here.
func copyKept(ctx context.Context, from, to Records, sync string, s State) error {
	for _, k := range archivedOf(s) {
		content, err := from.Recall(ctx, sync, k.Sum)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := to.Keep(ctx, sync, k.Sum, content); err != nil {
			return err
		}
	}
	return nil
}

// archivedOf lists the revisions of a state whose content is in an archive.
func archivedOf(s State) []Kept {
	all := slices.Clone(s.Kept)
	if s.Newest != nil && s.Newest.Sum != "" {
		all = append(all, s.Newest.Kept)
	}
	return all
}

func copyOne(ctx context.Context, to Records, sync string, s State) error {
	// What is there is looked at, or a save over it would be refused; where it
	// cannot be understood it is set aside.
	before, err := to.Load(ctx, sync)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer) {
		before, err = to.Load(ctx, sync)
	}
	if err != nil {
		return err
	}
	// It is no loss to who remembers that, nor what was claimed to be lost.
	s.Replace(append(before.Replaces, before.ID)...)
	if z, ok := to.(claimer); ok {
		c, err := z.claimed(ctx, sync)
		if err != nil {
			return err
		}
		if c != nil {
			s.Replace(append(c.Was, c.ID)...)
		}
	}
	if err := to.Save(ctx, sync, s); err != nil {
		return err
	}
	copied, err := to.Peek(ctx, sync)
	if err != nil {
		return err
	}
	want, err := encode(bounded(s), sync)
	if err != nil {
		return err
	}
	if got, err := encode(copied, sync); err != nil || !bytes.Equal(want, got) {
		return errors.Join(fmt.Errorf("state of sync %q: the copy differs", sync), err)
	}
	return nil
}
