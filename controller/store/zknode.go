package store

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"regexp"

	"github.com/pacer-gitops/pacer/meter"
)

// This file is how a state is laid out in nodes. The node of a sync, the head,
// names a generation, which is complete in the head's children <generation>-0000,
// -0001 and so on: compressed, and cut into pieces that a node and a transaction
// can hold. A save makes the children of a new generation and then, in one
// transaction, the last of them and the head, and removes those of before. So
// whoever reads finds the old state whole or the new one whole.

// headFormat is the version of the layout; the format of what it holds is its
// own. It grows when an older Pacer would misread what a newer one saves.
const headFormat = 1

// head is what the node of a sync holds. An empty node: nothing is saved.
type head struct {
	Format     int    `json:"format"`
	Generation string `json:"generation"`
	Chunks     int    `json:"chunks"`
}

// position is where the state of a sync is, as last seen. The zero value: a node
// that was never written, or none at all.
type position struct {
	version    int32 // of the head's node
	generation string
	chunks     int
}

const (
	// maxChunk is how much a child holds at most, in bytes. A server takes
	// requests of 1 MiB; one carries a whole chunk and the rest of a transaction.
	maxChunk = 512 << 10
	// maxChunks bounds what is taken for a state or a kept content: more is damage,
	// or made to exhaust the memory.
	maxChunks = 256
)

var (
	generationPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)
	chunkPattern      = regexp.MustCompile(`^([0-9a-f]{16})-[0-9]{4}$`)
)

func newGeneration() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// chunkNode is the i-th child of a generation.
func chunkNode(node, generation string, i int) string {
	return path.Join(node, fmt.Sprintf("%s-%04d", generation, i))
}

func encodeHead(h head) ([]byte, error) {
	h.Format = headFormat
	return json.Marshal(h)
}

// decodeHead reads what encodeHead wrote. Any other bytes are an error that wraps
// ErrCorrupt or ErrNewer.
func decodeHead(b []byte) (head, error) {
	var h head
	if err := newerThan(b, headFormat); err != nil {
		return head{}, err
	}
	switch err := strictly(b, &h); {
	case err != nil:
		return head{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case h.Format != headFormat || !generationPattern.MatchString(h.Generation) || h.Chunks < 1 || h.Chunks > maxChunks:
		return head{}, fmt.Errorf("%w: format %d, generation %q, %d chunks", ErrCorrupt, h.Format, h.Generation, h.Chunks)
	}
	return h, nil
}

// pack compresses an encoded state and cuts it into chunks of so many bytes.
func pack(b []byte, chunkSize int) ([][]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := readable(b, packed.Len()); err != nil {
		return nil, err
	}
	return cut(packed.Bytes(), chunkSize)
}

// cut cuts content into chunks of so many bytes, at least one.
func cut(b []byte, chunkSize int) ([][]byte, error) {
	chunks := [][]byte{b[:min(chunkSize, len(b))]}
	for rest := b[len(chunks[0]):]; len(rest) > 0; {
		n := min(chunkSize, len(rest))
		chunks, rest = append(chunks, rest[:n]), rest[n:]
	}
	if len(chunks) > maxChunks {
		return nil, fmt.Errorf("%d bytes do not fit into %d nodes", len(b), maxChunks)
	}
	return chunks, nil
}

// unpack is the inverse of pack. It expands no further than a state may be.
func unpack(packed []byte) ([]byte, error) {
	b, err := meter.Expand(packed, maxState)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b, nil
}

// decodePacked reads a state from all chunks of a generation.
func decodePacked(packed []byte, sync string) (State, error) {
	b, err := unpack(packed)
	if err != nil {
		return State{}, err
	}
	return decode(b, sync)
}
