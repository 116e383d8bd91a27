package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Ledger is what a replica's own state folder remembers of the records that the
// replica has worked with, wherever they are kept. It is how a record that is
// gone is told from one that never was:
//
//	remembered   where it was        record there       judged
//	nothing      -                   any                none or a first start; it is remembered from now on
//	a record     anywhere            none               lost
//	a record     anywhere            the same, or one   fine
//	                                 that replaces it
//	a record     in the same place   another            lost, and begun again by a replica that did not know
//	a record     in another place    another            fine: the configuration names another place, which has one
//	a record     in ZooKeeper        any, in a folder   lost: it is older than what was in ZooKeeper
//
// A state folder that is removed whole, its ledger with it, is a first start.
type Ledger struct {
	folder string
	files  files

	mu    sync.Mutex
	known map[string]remembered // by sync
	// doubt says why what is remembered may not be all; empty: it is.
	doubt     string
	unwritten bool // the file is to be written
}

// remembered is the newest record of a sync that the replica has worked with.
type remembered struct {
	Place string   `json:"place"`
	IDs   []string `json:"ids"` // newest last, at most maxRemembered
}

const (
	ledgerName    = "ledger.json"
	ledgerFormat  = 1
	maxRemembered = 8
)

// ledgerFile is the content of the file.
type ledgerFile struct {
	Format int                   `json:"format"`
	Syncs  map[string]remembered `json:"syncs"`
}

// placeFolder is the place of records in a folder. There is one: the ledger's.
const placeFolder = "the state folder"

// OpenLedger reads the ledger of a folder that this process has locked, see
// OpenFile. One that cannot be understood is renamed; Doubt tells.
func OpenLedger(folder string) (*Ledger, error) {
	l := &Ledger{folder: folder, files: disk{}, known: map[string]remembered{}}
	name := filepath.Join(folder, ledgerName)
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("state folder: %w", err)
	}
	var content ledgerFile
	err = newerThan(b, ledgerFormat)
	if err == nil {
		err = strictly(b, &content)
	}
	for sync, r := range content.Syncs {
		if len(r.IDs) == 0 {
			err = fmt.Errorf("%w: no record of sync %q", ErrCorrupt, sync)
		}
	}
	if err == nil {
		if content.Syncs != nil {
			l.known = content.Syncs
		}
		return l, nil
	}
	aside := name + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(name, aside); err != nil {
		return nil, fmt.Errorf("state folder: %s cannot be parsed, nor moved aside: %w", ledgerName, err)
	}
	l.doubt = fmt.Sprintf("%s, which lists the syncs with stored state, cannot be parsed (%v) and was moved aside to %s", ledgerName, err, aside)
	return l, nil
}

// Doubt says why what is remembered may not be all; empty: it is.
func (l *Ledger) Doubt() string { return l.doubt }

// judge returns the loss that follows from what is remembered, see Ledger; nil:
// none.
func (l *Ledger) judge(sync, place string, s *State) *LostError {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known := l.known[sync]
	switch {
	case !known && (l.doubt == "" || s.there()):
		return nil
	case !known:
		return &LostError{Why: "the sync has no record, and " + l.doubt}
	}
	lost := &LostError{Was: slices.Clone(r.IDs)}
	moved := ""
	if r.Place != place {
		moved = fmt.Sprintf("; it was in %s, and the configuration now says %s: pacer store copy moves it", r.Place, place)
	}
	switch {
	case !s.there():
		lost.Why = "the record of the sync is gone" + moved
	case place == placeFolder && r.Place != placeFolder:
		lost.Why = "the record of the sync is an older version" + moved
	case r.Place != place || s.replaces(r.IDs[len(r.IDs)-1]):
		return nil
	default:
		lost.Why = "the record of the sync was lost, and a new one was started without it"
	}
	return lost
}

// note remembers the record that the replica works with. It is remembered for as
// long as the process lives also where it cannot be written.
func (l *Ledger) note(sync, place, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == "" {
		return nil
	}
	r := l.known[sync]
	if n := len(r.IDs); n == 0 || r.IDs[n-1] != id || r.Place != place {
		ids := append(slices.DeleteFunc(slices.Clone(r.IDs), func(known string) bool { return known == id }), id)
		l.known[sync], l.unwritten = remembered{Place: place, IDs: ids[max(0, len(ids)-maxRemembered):]}, true
	}
	if !l.unwritten {
		return nil
	}
	b, err := json.Marshal(ledgerFile{Format: ledgerFormat, Syncs: l.known})
	if err == nil {
		err = replace(l.files, l.folder, ledgerName, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("state folder: cannot write %s, without which a loss looks like a first start: %w", ledgerName, err)
	}
	l.unwritten = false
	return nil
}

// copied remembers that the records of syncs are where Copy has brought them.
func (l *Ledger) copied(ctx context.Context, to Records, syncs []string) error {
	var errs []error
	for _, sync := range syncs {
		s, err := to.Peek(ctx, sync)
		if err == nil {
			err = l.note(sync, placeOf(to), s.ID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// placeOf names where records are, for people and to tell it from another place.
func placeOf(r Records) string {
	if z, ok := r.(claimer); ok {
		return z.Place()
	}
	return placeFolder
}

// knows reports whether a record of the sync is remembered.
func (l *Ledger) knows(sync string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.known[sync]
	return known
}
