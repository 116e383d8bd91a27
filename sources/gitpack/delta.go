package gitpack

import (
	"encoding/binary"
	"errors"
)

var errDelta = errors.New("a delta is malformed")

// deltaSizes are the first of a delta: the size of what it builds on and of what it
// makes. used is how many bytes say so.
func deltaSizes(delta []byte) (base, made int64, used int, err error) {
	b, n := binary.Uvarint(delta)
	if n <= 0 || b > 1<<60 {
		return 0, 0, 0, errDelta
	}
	m, k := binary.Uvarint(delta[n:])
	if k <= 0 || m > 1<<60 {
		return 0, 0, 0, errDelta
	}
	return int64(b), int64(m), n + k, nil //nolint:gosec // bounded above
}

// applyDelta fills made, which must be of the size that the delta says. Go-git's
// grows by doubling what it makes, and so holds it twice.
func applyDelta(base, delta, made []byte) error {
	baseSize, madeSize, used, err := deltaSizes(delta)
	if err != nil {
		return err
	}
	if baseSize != int64(len(base)) || madeSize != int64(len(made)) {
		return errDelta
	}
	for delta = delta[used:]; len(delta) > 0; {
		op := delta[0]
		delta = delta[1:]
		from := delta
		switch {
		case op&0x80 != 0:
			if from, delta, err = copied(base, op, delta); err != nil {
				return err
			}
		case op == 0 || int(op) > len(delta):
			return errDelta
		default:
			from, delta = delta[:op], delta[op:]
		}
		if len(from) > len(made) {
			return errDelta
		}
		made = made[copy(made, from):]
	}
	if len(made) > 0 {
		return errDelta
	}
	return nil
}

// copied is the part of the base that an operation names. The bits of the operation
// say which bytes of the offset and of the size are given.
func copied(base []byte, op byte, delta []byte) (part, rest []byte, err error) {
	var numbers [7]byte // four of the offset, three of the size
	for i := range numbers {
		if op&(1<<i) == 0 {
			continue
		}
		if len(delta) == 0 {
			return nil, nil, errDelta
		}
		numbers[i], delta = delta[0], delta[1:]
	}
	offset := int64(binary.LittleEndian.Uint32(numbers[:4]))
	size := int64(numbers[4]) | int64(numbers[5])<<8 | int64(numbers[6])<<16
	if size == 0 {
		size = 0x10000
	}
	if offset+size > int64(len(base)) {
		return nil, nil, errDelta
	}
	return base[offset : offset+size], delta, nil
}
