// Package meter bounds JSON that somebody else may have made, while it is read
// and before anything of it is held: answers of Marathon, what is stored
// compressed in ZooKeeper or in a folder.
//
// A limit on bytes alone is none: 250 KB of gzip become 250 MB of JSON, and that
// 5 GiB of objects. So values are counted too, and held against what they came
// from.
package meter

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// ErrTooLarge is what a text is refused with that is, or expands to, too much.
var ErrTooLarge = errors.New("refused, because it is too large")

// What a text may be. Size counts what its values need once they are decoded:
//
//	a byte                          1
//	a value                        32
//	an object or a list           128 more
//
// A text is refused that has                       what 10,000 apps have
//
//	more bytes than it is given                     13 MB
//	more size than 1 GiB                            60 MB
//	more size than 16 MiB and 1024 times            130 times; 600 where all apps are
//	   the bytes that it was expanded from          long and alike but for their ids
//	more size than 16 MiB and 8 times its bytes     4.5 times
//	more than 100 objects and lists in each other   fewer than 20
//	a text of more than 4 MiB, or 1 MiB of blanks   1 MiB is what ZooKeeper takes of an app
//
// So what is sent costs what it looks like: 250 KB that are made to be 250 MB of
// empty objects end after the first few KB. The first 16 MiB are free since all
// of a small Marathon may be alike.
const (
	sizeOfValue     = 32
	sizeOfContainer = 128
	maxSize         = 1 << 30
	freeSize        = 16 << 20
	sizePerReceived = 1024
	sizePerByte     = 8
	maxDepth        = 100
	maxText         = 4 << 20
	// maxBlanks: a json.Decoder looks at a run of blanks anew with each piece of it.
	maxBlanks = 1 << 20
	// pieceBytes is how much is taken at a time, and so how late it is noticed.
	pieceBytes = 32 << 10
)

// Reader reads JSON, and ends it with ErrTooLarge where it is too much.
type Reader struct {
	r        io.Reader
	received func() int64
	maxBytes int64
	err      error

	bytes, values, containers int64
	depth                     int
	quoted, escaped           bool // where in a text the last piece ended
	text, blanks              int  // how long the present one is
}

// NewReader meters r, of which at most so many bytes are read. received tells how
// many bytes it was expanded from until now; nil: it is not compressed.
func NewReader(r io.Reader, maxBytes int64, received func() int64) *Reader {
	m := &Reader{r: r, received: received, maxBytes: maxBytes}
	if received == nil {
		m.received = func() int64 { return m.bytes }
	}
	return m
}

// Gunzip is a Reader of what r holds compressed.
func Gunzip(r io.Reader, maxBytes int64) (*Reader, error) {
	c := &counter{r: r}
	z, err := gzip.NewReader(c)
	if err != nil {
		return nil, err
	}
	return NewReader(z, maxBytes, func() int64 { return c.n }), nil
}

// Expand is all that a text holds compressed.
func Expand(packed []byte, maxBytes int64) ([]byte, error) {
	m, err := Gunzip(bytes.NewReader(packed), maxBytes)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(m)
}

// Check is ErrTooLarge for a text that is too much. expandedFrom is how many bytes
// it is compressed; 0: it is not.
func Check(text []byte, maxBytes, expandedFrom int64) error {
	m := NewReader(nil, maxBytes, nil)
	if expandedFrom > 0 {
		m.received = func() int64 { return expandedFrom }
	}
	m.scan(text)
	return m.tooMuch()
}

// Err is why reading could not go on; nil: it could, or came to the end.
func (m *Reader) Err() error { return m.err }

// Read reads and meters.
func (m *Reader) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.r.Read(p[:min(len(p), pieceBytes)])
	m.scan(p[:n])
	if tooMuch := m.tooMuch(); tooMuch != nil {
		err = tooMuch
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

// scan counts what stands in a piece, up to what is too much by itself. Only what
// is JSON is counted right; the decoder refuses the rest.
func (m *Reader) scan(p []byte) {
	m.bytes += int64(len(p))
	for i := 0; i < len(p); {
		if m.quoted {
			i += m.scanText(p[i:])
			if m.text > maxText {
				return
			}
			continue
		}
		b := p[i]
		i++
		if b == ' ' || b == '\t' || b == '\n' || b == '\r' {
			m.text = 0
			if m.blanks++; m.blanks > maxBlanks {
				return
			}
			continue
		}
		m.blanks = 0
		if !structural[b] { // of a number, or of what is no JSON at all
			if m.text++; m.text > maxText {
				return
			}
			continue
		}
		m.text = 0
		if m.structure(b); m.depth > maxDepth {
			return
		}
	}
}

var structural = [256]bool{'"': true, ',': true, ':': true, '{': true, '[': true, '}': true, ']': true}

func (m *Reader) structure(b byte) {
	switch b {
	case '"':
		m.quoted = true
	case ',':
		m.values++
	case '{', '[':
		m.values++
		m.containers++
		m.depth++
	case '}', ']':
		m.depth--
	}
}

// scanText goes on in a text, to its end at most, and returns how far it came.
func (m *Reader) scanText(p []byte) int {
	for i, b := range p {
		switch {
		case m.escaped:
			m.escaped = false
		case b == '\\':
			m.escaped = true
		case b == '"':
			m.text += i + 1
			m.quoted = m.text > maxText // a longer one stays open, and is told
			return i + 1
		}
	}
	m.text += len(p)
	return len(p)
}

// tooMuch is why the answer is refused, if it is.
func (m *Reader) tooMuch() error {
	size := m.bytes + sizeOfValue*m.values + sizeOfContainer*m.containers
	received := m.received()
	var why string
	switch {
	case m.bytes > m.maxBytes:
		why = fmt.Sprintf("it is longer than %d bytes", m.maxBytes)
	case m.depth > maxDepth:
		why = fmt.Sprintf("it nests objects and lists more than %d deep", maxDepth)
	case m.text > maxText:
		why = fmt.Sprintf("it contains a string longer than %d bytes", maxText)
	case m.blanks > maxBlanks:
		why = fmt.Sprintf("it has more than %d blanks in a row", maxBlanks)
	case size > maxSize:
		why = fmt.Sprintf("its %d values need more than %d bytes", m.values, int64(maxSize))
	case size > freeSize+sizePerReceived*received:
		why = fmt.Sprintf("%d bytes of it expand to %d bytes with %d values", received, m.bytes, m.values)
	case size > freeSize+sizePerByte*m.bytes:
		why = fmt.Sprintf("its %d bytes have %d values", m.bytes, m.values)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrTooLarge, why)
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
