package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode"
)

// appendState writes a state as json.Marshal does. The two tables that have an
// entry for each app, nearly all of it, are written here: by reflection they
// take three times as long, and a save stands before each write to Marathon.
func appendState(b []byte, s State) ([]byte, error) {
	inventory, stands := s.Inventory, s.Stands
	s.Inventory, s.Stands = nil, nil
	whole, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	rest, first := bytes.CutPrefix(whole, []byte(`{"inventory":null`))
	if !first {
		return nil, fmt.Errorf("state: %.20s: expected the inventory first", whole) // the fields were moved
	}
	ids := slices.Sorted(maps.Keys(inventory))
	b = append(b, `{"inventory":`...)
	if inventory == nil {
		b = append(b, "null"...)
	} else if b, err = appendTable(b, ids, inventory, appendOwned); err != nil {
		return nil, err
	}
	b = append(b, rest[:len(rest)-1]...)
	if len(stands) > 0 {
		b = append(b, `,"stands":`...)
		if b, err = appendTable(b, keysOf(stands, ids), stands, appendStand); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// keysOf are the keys of a table in order: mostly they are those of another one,
// and need not be sorted again.
func keysOf[V any](table map[string]V, ids []string) []string {
	if len(ids) == len(table) && !slices.ContainsFunc(ids, func(id string) bool { _, has := table[id]; return !has }) {
		return ids
	}
	return slices.Sorted(maps.Keys(table))
}

func appendTable[V any](b []byte, keys []string, table map[string]V, value func([]byte, V) ([]byte, error)) ([]byte, error) {
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key), ':')
		var err error
		if b, err = value(b, table[key]); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return append(b, '}'), nil
}

func appendOwned(b []byte, o Owned) ([]byte, error) {
	b = appendField(b, `{"kind":`, string(o.Kind))
	b = appendField(b, `,"file":`, o.File)
	b = appendField(b, `,"revision":`, o.Revision)
	b = appendField(b, `,"hash":`, o.Hash)
	return append(b, '}'), nil
}

func appendStand(b []byte, s Stand) ([]byte, error) {
	b = appendField(b, `{"state":`, s.State)
	if s.Health != "" {
		b = appendField(b, `,"health":`, s.Health)
	}
	if s.Condition != "" {
		b = appendField(b, `,"condition":`, s.Condition)
	}
	b = append(b, `,"since":"`...)
	b, err := s.Since.AppendText(b)
	return append(b, `"}`...), err
}

func appendField(b []byte, name, value string) []byte {
	return appendString(append(b, name...), value)
}

// appendString writes a JSON string. What json.Marshal might escape is left to it.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > unicode.MaxASCII, c == '"', c == '\\', c == '<', c == '>', c == '&':
			text, _ := json.Marshal(s) // a string always can be
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
