package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pacer-gitops/pacer/meter"
)

// format is the version of the envelope and of State in it. It grows when an
// older Pacer would misread what a newer one saves.
const format = 1

// maxState is how many bytes a state may have. What else is too much, see meter.
const maxState = 512 << 20

// surelyReadable is how long a state may be that needs no check whether it can be
// read again: no text in it can be too long, and a state of 20,000 apps has fewer
// values for its bytes than are refused.
const surelyReadable = 4 << 20

// readable is an error where an encoded state would be refused by who reads it,
// packed to so many bytes or not at all: it must not be saved.
func readable(b []byte, packed int) error {
	if len(b) <= surelyReadable {
		return nil
	}
	return meter.Check(b, maxState, int64(packed))
}

// envelope is what a file holds: a state with what is needed to tell that it is
// whole and the right one.
type envelope struct {
	Format int             `json:"format"`
	Sync   string          `json:"sync"`
	Sum    string          `json:"sum"` // SHA-256 of State's bytes, in hex
	State  json.RawMessage `json:"state"`
}

// bounded is a state without the history that is too much.
func bounded(s State) State {
	if len(s.History) > MaxHistory {
		s.History = slices.Clip(s.History[:MaxHistory])
	}
	return s
}

// encode writes a state of a sync: as json.Marshal would write its envelope, which
// would read all of a large state twice more.
func encode(s State, sync string) ([]byte, error) {
	b := make([]byte, 0, 4096+256*len(s.Inventory)+128*len(s.Stands))
	b = appendString(fmt.Appendf(b, `{"format":%d,"sync":`, format), sync)
	b = append(b, `,"sum":"`...)
	at := len(b)
	b = append(append(b, make([]byte, hex.EncodedLen(sha256.Size))...), `","state":`...)
	begin := len(b)
	b, err := appendState(b, s)
	if err != nil {
		return nil, err
	}
	copy(b[at:], sum(b[begin:]))
	b = append(b, "}\n"...)
	return b, readable(b, 0)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// decode reads what encode wrote for the same sync, and the lines after it. Any
// other bytes are an error that wraps ErrCorrupt or ErrNewer: never a state of
// which a part is missing.
func decode(b []byte, sync string) (State, error) {
	if err := meter.Check(b, maxState, 0); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	b, lines, _ := bytes.Cut(b, []byte{'\n'})
	s, err := decodeState(b, sync)
	if err != nil {
		return State{}, err
	}
	return s, decodeAhead(lines, &s)
}

func decodeState(b []byte, sync string) (State, error) {
	if err := newerThan(b, format); err != nil {
		return State{}, err
	}
	var e envelope
	switch err := strictly(b, &e); {
	case err != nil:
		return State{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case e.Format != format:
		return State{}, fmt.Errorf("%w: format %d", ErrCorrupt, e.Format)
	case e.Sum != sum(e.State):
		return State{}, fmt.Errorf("%w: checksum mismatch", ErrCorrupt)
	case e.Sync != sync:
		return State{}, fmt.Errorf("%w: it is the state of sync %q", ErrCorrupt, e.Sync)
	}
	var s State
	if err := strictly(e.State, &s); err != nil {
		return State{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return s, nil
}

// newerThan is an error where a text has a newer format than is known, whatever
// else it holds, or none.
func newerThan(b []byte, known int) error {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if version.Format > known {
		return fmt.Errorf("%w: format %d, this Pacer supports %d: install the newer version again", ErrNewer, version.Format, known)
	}
	return nil
}

// strictly reads exactly one JSON value, without unknown keys.
func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected data after the end")
	}
	return nil
}
