package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/pacer-gitops/pacer/controller/plan"
)

// ahead is what of a State is noted ahead of each write to Marathon. It is little
// beside all else that is known of ten thousand apps, so a File has it in a line
// of its own, after the state, which the next Save takes in.
type ahead struct {
	Sent    map[string]Sent         `json:"sent,omitempty"`
	Healthy map[string]plan.Healthy `json:"healthy,omitempty"`
	Newest  *Newest                 `json:"newest,omitempty"`
}

// mostAhead is how many bytes of lines a File has after a state before it saves all
// again: while Marathon takes no write, for long nothing else may.
const mostAhead = 1 << 20

type aheadLine struct {
	Sum   string          `json:"sum"` // SHA-256 of Ahead's bytes, in hex
	Ahead json.RawMessage `json:"ahead"`
}

// SaveAhead is Save for a state of which only Sent, Healthy and Newest are others
// than in the one that was saved or loaded last.
func (f *File) SaveAhead(ctx context.Context, sync string, s State) error {
	name, err := f.path(ctx, sync)
	if err != nil {
		return told(sync, err)
	}
	line, err := encodeAhead(s)
	if err != nil {
		return told(sync, err)
	}
	switch err := f.extend(name, line); {
	case errors.Is(err, errNoLine): // nothing was saved yet, a line was cut off, or there are enough
		return f.Save(ctx, sync, s)
	case err != nil:
		return fmt.Errorf("intents of sync %q are not saved: %w", sync, err)
	}
	return nil
}

func (f *File) extend(name string, line []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return os.ErrClosed
	}
	if f.ahead[name]+len(line) > mostAhead {
		return errNoLine
	}
	f.ahead[name] += len(line)
	return f.files.extend(name, line)
}

func encodeAhead(s State) ([]byte, error) {
	b, err := json.Marshal(ahead{s.Sent, s.Healthy, s.Newest})
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(aheadLine{Sum: sum(b), Ahead: b})
	return append(line, '\n'), err
}

// decodeAhead takes in what the lines after a state say: the last one counts. One
// that has no end was being written when the process was killed, one that has a
// hole when the power was cut, so that nothing was sent on it.
func decodeAhead(lines []byte, s *State) error {
	for line := range bytes.Lines(lines) {
		if !bytes.HasSuffix(line, []byte{'\n'}) || bytes.IndexByte(line, 0) >= 0 {
			continue
		}
		var l aheadLine
		if err := strictly(line, &l); err != nil {
			return fmt.Errorf("%w: its intent log: %w", ErrCorrupt, err)
		}
		if l.Sum != sum(l.Ahead) {
			return fmt.Errorf("%w: the checksum of its intent log is wrong", ErrCorrupt)
		}
		var a ahead
		if err := strictly(l.Ahead, &a); err != nil {
			return fmt.Errorf("%w: its intent log: %w", ErrCorrupt, err)
		}
		s.Sent, s.Healthy = a.Sent, a.Healthy
		if a.Newest != nil { // a line of an older Pacer has none
			s.Newest = a.Newest
		}
	}
	return nil
}
