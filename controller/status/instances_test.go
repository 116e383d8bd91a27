package status

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestInstancesHaveBothKeys: an older pacer status reads what this Pacer writes, and
// this one what an older Pacer wrote.
func TestInstancesHaveBothKeys(t *testing.T) {
	given := Instances{Desired: 5, Target: 4, Running: 3, Healthy: 2, Checked: true}
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	var older struct{ Wanted, Target, Running, Healthy int }
	var same Instances
	if err := json.Unmarshal(text, &older); err != nil || older.Wanted != 5 || older.Target != 4 || older.Running != 3 || older.Healthy != 2 {
		t.Errorf("%v: an older pacer status reads %+v of %s", err, older, text)
	}
	if err := json.Unmarshal(text, &same); err != nil || same != given {
		t.Errorf("%v: read %+v of %s", err, same, text)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	want := []string{"wanted"}
	for i := range reflect.TypeFor[Instances]().NumField() {
		key, _, _ := strings.Cut(reflect.TypeFor[Instances]().Field(i).Tag.Get("json"), ",")
		want = append(want, key)
	}
	if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("written are %v, the members of Instances and the former key are %v", got, want)
	}
	var former Instances
	if err := json.Unmarshal([]byte(`{"wanted": 3, "target": 3, "running": 1, "healthy": 0, "checked": false}`), &former); err != nil || former != (Instances{Desired: 3, Target: 3, Running: 1}) {
		t.Errorf("%v: read %+v of an older Pacer", err, former)
	}
}
