package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// What is about to be sent is noted before each write to Marathon, and is little
// beside all else that is known of ten thousand apps. A File has it in a line of
// its own, after the state, which the next Save takes in.
type sentLine struct {
	Sum  string          `json:"sum"` // SHA-256 of Sent's bytes, in hex
	Sent json.RawMessage `json:"sent"`
}

// SaveSent is Save for a state of which only Sent is another than in the one that
// was saved or loaded last.
func (f *File) SaveSent(ctx context.Context, sync string, s State) error {
	name, err := f.path(ctx, sync)
	if err != nil {
		return told(sync, err)
	}
	line, err := encodeSent(s.Sent)
	if err != nil {
		return told(sync, err)
	}
	switch err := f.extend(name, line); {
	case errors.Is(err, errNoLine): // nothing was saved yet, or a line was cut off
		return f.Save(ctx, sync, s)
	case err != nil:
		return fmt.Errorf("what sync %q is about to send is not saved: %w", sync, err)
	}
	return nil
}

func (f *File) extend(name string, line []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return os.ErrClosed
	}
	return f.files.extend(name, line)
}

func encodeSent(sent map[string]Sent) ([]byte, error) {
	b, err := json.Marshal(sent)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(sentLine{Sum: sum(b), Sent: b})
	return append(line, '\n'), err
}

// decodeSent takes in what the lines after a state say: the last one counts. One
// that has no end was being written when the process was killed, so that nothing
// was sent on it.
func decodeSent(lines []byte, s *State) error {
	for line := range bytes.Lines(lines) {
		if !bytes.HasSuffix(line, []byte{'\n'}) {
			return nil
		}
		var l sentLine
		if err := strictly(line, &l); err != nil {
			return fmt.Errorf("%w: what was sent: %w", ErrCorrupt, err)
		}
		if l.Sum != sum(l.Sent) {
			return fmt.Errorf("%w: the checksum of what was sent is wrong", ErrCorrupt)
		}
		var sent map[string]Sent
		if err := strictly(l.Sent, &sent); err != nil {
			return fmt.Errorf("%w: what was sent: %w", ErrCorrupt, err)
		}
		if s.Sent = nil; len(sent) > 0 {
			s.Sent = sent
		}
	}
	return nil
}
