package marathon

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ErrTooLarge is an answer that is refused since it is, or expands to, more than
// any Marathon has to tell. Nothing of it is taken for what Marathon holds.
var ErrTooLarge = errors.New("the answer is refused")

// What an answer may be is decided here, while it arrives and before anything of
// it is held. Size counts what its values need once they are decoded:
//
//	a byte                          1
//	a value                        32
//	an object or a list           128 more
//
// An answer is refused that has                    what Marathons have to tell
//
//	more bytes than Options.MaxBody, 256 MiB        10,000 apps: 13 MB
//	more size than 1 GiB                            10,000 apps: 60 MB
//	more size than 16 MiB and 1024 times            130 times; 600 where all apps are
//	   the bytes that came over the network         long and alike but for their ids
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
	// maxBlanks: the decoder looks at a run of blanks anew with each piece of it.
	maxBlanks = 1 << 20
	// pieceBytes is how much is taken at a time, and so how late it is noticed.
	pieceBytes = 32 << 10
	// maxErrorBytes is how much is read of an answer that is no success: its
	// words, complaints and locks.
	maxErrorBytes = 4 << 20
)

// meter reads JSON and ends it with ErrTooLarge where it is too much. It
// remembers why it could not go on.
type meter struct {
	r        io.Reader
	received func() int64 // bytes that came over the network
	maxBytes int64
	err      error

	bytes, values, containers int64
	depth                     int
	quoted, escaped           bool // where in a text the last piece ended
	text, blanks              int  // how long the present one is
}

// body is the meter of an answer, which is decompressed.
func (c *Client) body(resp *http.Response) (*meter, error) {
	network := &counter{r: resp.Body}
	m := &meter{r: network, received: func() int64 { return network.n }, maxBytes: c.options.MaxBody}
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(network)
		if err != nil {
			return nil, err
		}
		m.r = z
	default:
		return nil, fmt.Errorf("it is encoded as %q, which was not asked for", oneLine(encoding))
	}
	return m, nil
}

func (m *meter) Read(p []byte) (int, error) {
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
func (m *meter) scan(p []byte) {
	m.bytes += int64(len(p))
	for _, b := range p {
		if m.quoted {
			m.scanText(b)
			continue
		}
		switch b {
		case ' ', '\t', '\n', '\r':
			if m.blanks++; m.blanks > maxBlanks {
				return
			}
			continue
		case '"':
			m.quoted, m.text = true, 0
		case ',':
			m.values++
		case '{', '[':
			m.values++
			m.containers++
			if m.depth++; m.depth > maxDepth {
				return
			}
		case '}', ']':
			m.depth--
		}
		m.blanks = 0
	}
}

func (m *meter) scanText(b byte) {
	m.text++
	switch {
	case m.escaped:
		m.escaped = false
	case b == '\\':
		m.escaped = true
	case b == '"':
		m.quoted = m.text > maxText // a longer one stays open, and is told
	}
}

// tooMuch is why the answer is refused, if it is.
func (m *meter) tooMuch() error {
	size := m.bytes + sizeOfValue*m.values + sizeOfContainer*m.containers
	received := m.received()
	var why string
	switch {
	case m.bytes > m.maxBytes:
		why = fmt.Sprintf("it is longer than %d bytes", m.maxBytes)
	case m.depth > maxDepth:
		why = fmt.Sprintf("it has more than %d objects and lists in each other", maxDepth)
	case m.quoted && m.text > maxText:
		why = fmt.Sprintf("a text in it is longer than %d bytes", maxText)
	case m.blanks > maxBlanks:
		why = fmt.Sprintf("it has more than %d blanks in a row", maxBlanks)
	case size > maxSize:
		why = fmt.Sprintf("it has %d values, more than any Marathon has to tell", m.values)
	case size > freeSize+sizePerReceived*received:
		why = fmt.Sprintf("%d bytes of it expand to %d bytes with %d values", received, m.bytes, m.values)
	case size > freeSize+sizePerByte*m.bytes:
		why = fmt.Sprintf("its %d bytes have %d values", m.bytes, m.values)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrTooLarge, why)
}

// checked is text where it is not too much, see meter.
func checked(text []byte) error {
	n := int64(len(text))
	m := meter{maxBytes: n, received: func() int64 { return n }}
	m.scan(text)
	return m.tooMuch()
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
