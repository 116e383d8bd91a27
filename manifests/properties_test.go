package manifests

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The generator below writes definitions from the table of fields, so that a
// field that is added to the table is tested.

// generate draws a value of a shape, as decoded JSON. Rules across fields it
// does not know.
func generate(t *rapid.T, s *shape, depth int) any {
	switch s.kind {
	case kindBool:
		return rapid.Bool().Draw(t, "bool")
	case kindInt, kindLong, kindNumber:
		return generateNumber(t, s)
	case kindEnum:
		word := rapid.SampledFrom(s.enum).Draw(t, "enum")
		if s.enum[0] != scalingFixed && rapid.Bool().Draw(t, "lower") {
			word = strings.ToLower(word)
		}
		return word
	case kindList:
		least := 0
		if s.min != nil {
			least = int(*s.min)
		}
		return rapid.Custom(func(t *rapid.T) []any {
			out := []any{}
			for range rapid.IntRange(least, 2).Draw(t, "length") {
				out = append(out, generate(t, s.elem, depth+1))
			}
			return out
		}).Draw(t, "list")
	case kindMap:
		out := map[string]any{}
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", "B", "C_1"}), 0, 2, rapid.ID).Draw(t, "keys") {
			out[key] = generate(t, s.elem, depth+1)
		}
		return out
	case kindObject, kindScaling:
		return generateObject(t, s, depth)
	case kindString:
		return generateText(t, s)
	}
	return generateSpecial(t, s, depth)
}

func generateNumber(t *rapid.T, s *shape) any {
	least, most := 0, 20
	if s.min != nil {
		least = int(*s.min + 0.999)
	}
	if s.max != nil {
		most = min(most, int(*s.max))
	}
	n := rapid.IntRange(least, max(least, most)).Draw(t, "number")
	return json.Number(fmt.Sprintf(rapid.SampledFrom([]string{"%d", "%d.0", "%de0"}).Draw(t, "spelling"), n))
}

func generateText(t *rapid.T, s *shape) any {
	words := []string{"", "a", "ab", "B c", "http://h/x.tgz"}
	switch s.pattern {
	case pathIDPattern:
		words = []string{"/a", "/a/b", "c/", "//d"}
	case executorPattern:
		words = []string{"", "//cmd", "/bin/x", "a/b c"}
	case namePattern, networkNamePattern:
		words = []string{"a", "b", "default", "http"}
	default:
		if s.min != nil {
			words = words[2:]
		}
	}
	return rapid.SampledFrom(words).Draw(t, "text")
}

func generateObject(t *rapid.T, s *shape, depth int) any {
	out := map[string]any{}
	for i := range s.members {
		f := &s.members[i]
		// Deep things and legacy forms are rare, or nothing else would appear.
		often := 2 + depth
		if f.replaced != "" {
			often = 6
		}
		if f.computed || (!f.required && rapid.IntRange(0, often).Draw(t, "given "+f.name) > 0) {
			continue
		}
		out[f.name] = generate(t, f.shape, depth+1)
	}
	return out
}

func generateSpecial(t *rapid.T, s *shape, depth int) any {
	either := rapid.Bool().Draw(t, "form")
	switch s.kind {
	case kindEnvValue:
		if either {
			return map[string]any{"secret": "A"}
		}
		return rapid.SampledFrom([]string{"", "x"}).Draw(t, "value")
	case kindLimit:
		if either {
			return unlimited
		}
		return json.Number("50")
	case kindUnreachable:
		if either {
			return "disabled"
		}
		return generateObject(t, s, depth)
	case kindConstraint:
		return rapid.SampledFrom([]any{[]any{"hostname", "UNIQUE"}, []any{"rack", "GROUP_BY", "3"}, []any{"rack", "LIKE", "a.*"}, []any{"path", "LIKE", "x"}}).Draw(t, "constraint")
	case kindCommand:
		if either {
			return map[string]any{"shell": "true"}
		}
		return map[string]any{"argv": []any{"a", "b"}}
	case kindVolume:
		return rapid.SampledFrom([]any{
			map[string]any{"containerPath": "/a", "hostPath": "/b", "mode": "rw"},
			map[string]any{"containerPath": "a", "mode": "RW", "persistent": map[string]any{"size": json.Number("10")}},
			map[string]any{"containerPath": "a", "mode": "RW", "external": map[string]any{"name": "v", "provider": "dvdi", "options": map[string]any{"dvdi/driver": "d"}}},
			map[string]any{"containerPath": "a", "secret": "A", "mode": "RO"},
		}).Draw(t, "volume")
	case kindPodVolume:
		return rapid.SampledFrom([]any{
			map[string]any{"name": "a"}, map[string]any{"name": "b", "host": "/h"}, map[string]any{"name": "a", "secret": "A"},
			map[string]any{"name": "http", "persistent": map[string]any{"size": json.Number("10"), "profileName": "p"}},
		}).Draw(t, "volume")
	}
	return "x"
}

func everything() *Cluster {
	c := DefaultCluster()
	c.Features = []string{"external_volumes", "gpu_resources", "secrets"}
	c.DefaultNetworkName = "a"
	c.MesosRole = "dev"
	return &c
}

// drawn is a valid definition, its tree, and another one as live.
func drawn[T any](t *rapid.T, r rules[T], s *shape) (*T, *T, map[string]any) {
	definition, tree := valid(t, r, s)
	if !rapid.Bool().Draw(t, "live") {
		return definition, nil, tree
	}
	live, _ := valid(t, r, s)
	return definition, r.normalise(live, nil, everything()), tree
}

// troublesome are members to do without when a rule across fields is broken.
var troublesome = []string{"args", "gpus", "ipAddress", "ports", "healthChecks", "check", "unreachableStrategy", "container", "networks", "volumes", "secrets", "scheduling"}

// valid draws a definition and takes out what is refused, until nothing is.
func valid[T any](t *rapid.T, r rules[T], s *shape) (*T, map[string]any) {
	tree := generate(t, s, 0).(map[string]any)
	tree["id"] = "/shop/x"
	for range 3 * len(troublesome) {
		definition, violations := r.decode(tree)
		if definition == nil {
			t.Fatalf("the generator wrote what does not decode: %+v", errorsOf(violations))
		}
		errs := errorsOf(r.validate(definition, everything()))
		if len(errs) == 0 {
			return definition, tree
		}
		takeOut(tree, strings.Trim(strings.Split(errs[0].Path, "/")[1], "(0123456789)"))
	}
	t.Fatalf("never valid: %s", asJSON(t, tree))
	return nil, nil
}

func takeOut(tree map[string]any, name string) {
	if name == "containers" {
		tree["containers"] = []any{map[string]any{"name": "a", "resources": map[string]any{}}}
		return
	}
	if _, given := tree[name]; !given {
		for _, name = range troublesome {
			if _, given := tree[name]; given {
				break
			}
			if name == "scheduling" && tree["containers"] != nil {
				takeOut(tree, "containers")
			}
		}
	}
	delete(tree, name)
	if _, isPod := tree["containers"]; !isPod && tree["cmd"] == nil {
		tree["cmd"] = "sleep 100"
	}
}

func TestAppProperties(t *testing.T) { testProperties(t, appRules, appShape, appSets) }

func TestPodProperties(t *testing.T) { testProperties(t, podRules, podShape, podSets) }

// Sets: their order and duplicates mean nothing.
var (
	appSets = []string{"acceptedResourceRoles", "constraints", "dependencies", "healthChecks"}
	podSets = []string{}
)

func testProperties[T any](t *testing.T, r rules[T], s *shape, sets []string) {
	c := everything()
	property := func(name string, check func(*rapid.T)) {
		t.Run(name, func(t *testing.T) { rapid.Check(t, check) })
	}
	property("normalising twice is normalising once", func(t *rapid.T) {
		definition, live, _ := drawn(t, r, s)
		once := r.normalise(definition, live, c)
		if diff := cmp.Diff(once, r.normalise(once, live, c)); diff != "" {
			t.Fatalf("once -, twice +:\n%s", diff)
		}
	})
	property("normalising changes neither argument", func(t *rapid.T) {
		definition, live, _ := drawn(t, r, s)
		before := asJSON(t, definition) + asJSON(t, live)
		once := asJSON(t, r.normalise(definition, live, c))
		if after := asJSON(t, definition) + asJSON(t, live); after != before {
			t.Fatalf("before %s\nafter %s", before, after)
		}
		if again := asJSON(t, r.normalise(definition, live, c)); again != once {
			t.Fatalf("not the same again:\n%s\n%s", once, again)
		}
	})
	property("a normal form reads back as itself", func(t *rapid.T) {
		definition, live, _ := drawn(t, r, s)
		normal := r.normalise(definition, live, c)
		d := json.NewDecoder(strings.NewReader(asJSON(t, normal)))
		d.UseNumber()
		var tree any
		if err := d.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		back, violations := r.decode(tree)
		if len(violations) > 0 {
			t.Fatalf("%+v in %s", violations, asJSON(t, normal))
		}
		if diff := cmp.Diff(normal, r.normalise(back, live, c)); diff != "" {
			t.Fatalf("written -, read +:\n%s", diff)
		}
		if r.compare(normal, r.normalise(back, live, c)).Effect != EffectNone || r.hash(normal) != r.hash(back) {
			t.Fatal("not equal to itself")
		}
	})
	property("a valid definition's normal form is valid", func(t *rapid.T) {
		definition, live, _ := drawn(t, r, s)
		if errs := errorsOf(r.validate(r.normalise(definition, live, c), c)); len(errs) > 0 {
			t.Fatalf("%+v", errs)
		}
	})
	property("order and duplicates of sets mean nothing", func(t *rapid.T) {
		definition, live, tree := drawn(t, r, s)
		other := maps.Clone(tree)
		for _, name := range sets {
			if set, ok := tree[name].([]any); ok && len(set) > 0 {
				other[name] = rapid.Permutation(append(slices.Clone(set), set[0])).Draw(t, name)
			}
		}
		shuffled, violations := r.decode(other)
		if shuffled == nil {
			t.Fatalf("%+v", violations)
		}
		if diff := cmp.Diff(r.normalise(definition, live, c), r.normalise(shuffled, live, c)); diff != "" {
			t.Fatal(diff)
		}
	})
	property("a trimmed definition plans to no change", func(t *rapid.T) {
		definition, live, _ := drawn(t, r, s)
		normal := r.normalise(definition, live, c)
		trimmed := r.trim(normal, c)
		d := json.NewDecoder(strings.NewReader(asJSON(t, trimmed)))
		d.UseNumber()
		var tree any
		if err := d.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		back, violations := r.decode(tree)
		if back == nil {
			t.Fatalf("%+v in %s", violations, asJSON(t, trimmed))
		}
		if errs := errorsOf(append(violations, r.validate(back, c)...)); len(errs) > 0 {
			t.Fatalf("%+v in %s", errs, asJSON(t, trimmed))
		}
		if got := r.compare(normal, r.normalise(back, normal, c)); got.Effect != EffectNone {
			t.Fatalf("%+v", got)
		}
		if again := asJSON(t, r.trim(r.normalise(back, normal, c), c)); again != asJSON(t, trimmed) {
			t.Fatalf("another the second time:\n%s\n%s", asJSON(t, trimmed), again)
		}
	})
	property("a normal form has nothing that an old release does not know", func(t *rapid.T) {
		definition, _, _ := drawn(t, r, s)
		old := *c
		old.Version = rapid.SampledFrom([]string{"1.5.12", "1.6.496", "1.8.222", "1.9.109", "1.10.26"}).Draw(t, "version")
		if len(errorsOf(r.validate(definition, &old))) > 0 {
			return
		}
		if errs := errorsOf(r.validate(r.normalise(definition, nil, &old), &old)); len(errs) > 0 {
			t.Fatalf("%+v", errs)
		}
	})
	property("what is too new for an old release is named", func(t *rapid.T) {
		definition, _, tree := drawn(t, r, s)
		old := *c
		old.Version = "1.5.12"
		_, hasRole := tree["role"]
		named := slices.ContainsFunc(r.validate(definition, &old), func(v Violation) bool { return v.Path == "/role" && v.Status == 0 })
		if hasRole != named {
			t.Fatalf("role given %v, named %v", hasRole, named)
		}
	})
}

func asJSON(t interface{ Fatal(...any) }, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryFieldCounts changes each field of a full definition by itself: the
// comparison must see it, and call it what the table of fields calls it.
func TestEveryFieldCounts(t *testing.T) {
	t.Run("app", func(t *testing.T) { testEveryField(t, CompareApps, appShape) })
	t.Run("pod", func(t *testing.T) { testEveryField(t, ComparePods, podShape) })
}

func testEveryField[T any](t *testing.T, compare func(live, desired *T) Comparison, s *shape) {
	full := func() *T {
		v := new(T)
		fill(reflect.ValueOf(v).Elem(), 0)
		return v
	}
	effects := map[string]string{}
	for _, f := range s.members {
		effects[f.name] = f.inherit(field{}).effect
	}
	changed := 0
	for i := 0; ; i++ {
		v := full()
		count := i
		where, ok := changeLeaf(reflect.ValueOf(v).Elem(), "", &count)
		if !ok {
			break
		}
		changed++
		got := compare(full(), v)
		want := wantedEffect(where, effects)
		if got.Effect != want {
			t.Errorf("%s: %s, want %s", where, got.Effect, want)
		}
		if len(got.Fields) != 1 || !strings.HasPrefix(where, got.Fields[0].Path) {
			t.Errorf("%s: fields %+v", where, got.Fields)
		}
	}
	if changed < 100 {
		t.Errorf("only %d fields changed", changed)
	}
}

func wantedEffect(where string, effects map[string]string) Effect {
	switch {
	case where == "/instances" || where == "/scaling/instances":
		return EffectScale
	case where == "/scaling/kind":
		return EffectRestart // there is no other kind
	case strings.HasPrefix(where, "/scheduling/killSelection"), strings.HasPrefix(where, "/scheduling/unreachableStrategy"):
		return EffectMetadata
	case effects[strings.Split(where, "/")[1]] == effectPhantom:
		return EffectMetadata
	}
	return EffectRestart
}

// fill sets every field to something.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Struct:
		for i := range v.NumField() {
			if depth > 0 || v.Type().Field(i).Name != "Container" || v.Type() != reflect.TypeFor[App]() {
				fill(v.Field(i), depth+1)
				continue
			}
			fill(v.Field(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		elem := reflect.New(v.Type().Elem()).Elem()
		if elem.Kind() != reflect.Interface {
			fill(elem, depth+1)
		} else {
			elem.Set(reflect.ValueOf("x"))
		}
		v.SetMapIndex(reflect.ValueOf("key"), elem)
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Bool:
		v.SetBool(true)
	}
}

// changeLeaf changes the leaf number *count of a value and names it.
func changeLeaf(v reflect.Value, path string, count *int) (string, bool) {
	switch v.Kind() {
	case reflect.Pointer:
		return changeLeaf(v.Elem(), path, count)
	case reflect.Struct:
		for i := range v.NumField() {
			at := path
			if name := jsonName(v.Type().Field(i)); name != "" {
				at += "/" + name
			}
			if where, ok := changeLeaf(v.Field(i), at, count); ok {
				return where, true
			}
		}
		return "", false
	case reflect.Slice:
		return changeLeaf(v.Index(0), path+"/0", count)
	}
	if *count--; *count >= 0 {
		return "", false
	}
	switch v.Kind() {
	case reflect.Map:
		v.SetMapIndex(reflect.ValueOf("key"), reflect.Zero(v.Type().Elem()))
		if v.Type().Elem().Kind() == reflect.Interface {
			v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("y"))
		}
		return path + "/key", true
	case reflect.String:
		v.SetString("y")
	case reflect.Int, reflect.Int64:
		v.SetInt(8)
	case reflect.Float64:
		v.SetFloat(8)
	case reflect.Bool:
		v.SetBool(false)
	}
	return path, true
}

// TestTableHoldsEveryField: the table of fields and the Go types name the same.
func TestTableHoldsEveryField(t *testing.T) {
	for _, root := range []struct {
		of    reflect.Type
		shape *shape
	}{{reflect.TypeFor[App](), appShape}, {reflect.TypeFor[Pod](), podShape}, {reflect.TypeFor[Group](), groupShape}} {
		sameFields(t, root.of.Name(), root.of, root.shape, map[reflect.Type]bool{})
	}
}

// shared are types that apps and pods use with different members.
var shared = map[string][]string{
	"Volume": {"name", "host", "containerPath", "external", "hostPath", "mode"}, "HTTPCheck": {"endpoint", "port", "portIndex"},
	"TCPCheck": {"endpoint", "port", "portIndex"}, "PortMapping": nil,
}

func sameFields(t *testing.T, path string, of reflect.Type, s *shape, seen map[reflect.Type]bool) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		of = of.Elem()
		if s.elem != nil {
			s = s.elem
		}
	}
	if of.Kind() != reflect.Struct || isAtom(of) || len(s.members) == 0 || seen[of] {
		return
	}
	seen[of] = true
	inGo := map[string]bool{}
	for i := range of.NumField() {
		name := jsonName(of.Field(i))
		inGo[name] = true
		f := s.byName[name]
		if f == nil {
			if !slices.Contains(shared[of.Name()], name) {
				t.Errorf("%s.%s is not in the table", path, name)
			}
			continue
		}
		sameFields(t, path+"."+name, of.Field(i).Type, f.shape, seen)
	}
	for _, f := range s.members {
		if !inGo[f.name] && !f.computed {
			t.Errorf("%s.%s of the table is not in the Go type", path, f.name)
		}
		if f.doc == "" {
			t.Errorf("%s.%s has no sentence", path, f.name)
		}
	}
	delete(seen, of)
}
