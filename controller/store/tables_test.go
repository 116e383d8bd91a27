package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// filled is a value all of whose fields are drawn, also those that are new.
func filled[T any](t *rapid.T) (v T) {
	fields := reflect.ValueOf(&v).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Interface().(type) {
		case time.Time:
			at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns"))
			f.Set(reflect.ValueOf(at.In(time.FixedZone("", 60*rapid.IntRange(-720, 720).Draw(t, "zone")))))
		default:
			f.SetString(rapid.OneOf(rapid.String(), rapid.Just("")).Draw(t, "text"))
		}
	}
	return v
}

func table[T any](t *rapid.T, ids []string) map[string]T {
	m := map[string]T{}
	for _, id := range ids {
		m[id] = filled[T](t)
	}
	return m
}

// What is written by hand is what encoding/json would write, to the byte.
func TestTablesAreWrittenAsByEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sample(rapid.IntRange(0, 3).Draw(t, "n"))
		ids := rapid.SliceOfN(rapid.String(), 0, 8).Draw(t, "ids")
		s.Inventory, s.Stands = table[Owned](t, ids), table[Stand](t, ids)
		switch rapid.IntRange(0, 3).Draw(t, "shape") {
		case 0:
			s.Inventory = nil
		case 1:
			s.Stands = nil
		case 2:
			s.Stands = table[Stand](t, append(ids, "/another"))
		}
		got, err := appendState(nil, s)
		want, wantErr := json.Marshal(s)
		if err != nil || wantErr != nil || string(got) != string(want) {
			t.Fatalf("%v, %v:\n%s\nwant\n%s", err, wantErr, got, want)
		}
	})
}

func TestATimeThatJSONCannotSayIsAnError(t *testing.T) {
	s := State{Stands: map[string]Stand{"/shop/a": {Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	if b, err := appendState(nil, s); err == nil {
		t.Errorf("written as %s", b)
	}
}
