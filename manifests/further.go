package manifests

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// This file is what shows of Marathon's rules where a definition has errors of
// shape: Marathon answers with those alone, and who mends them would learn of the
// rest a round later.

// together lists the fields that rules speak of together: with one of them not
// readable, what a rule says of the others may not be so.
var together = map[Kind][][]string{
	KindApp: {
		{"cmd", "args", "container"},
		{"container", "networks", "ipAddress", "portDefinitions", "ports", "requirePorts", "healthChecks", "check", "readinessChecks"},
		{"container", "env", "secrets"},
		{"container", "role", "acceptedResourceRoles"},
		{"container", "upgradeStrategy", "instances", "labels"},
		{"container", "unreachableStrategy"},
		{"container", "gpus"},
		{"cpus", "mem", "resourceLimits"},
		{"uris", "fetch"},
	},
	KindPod: {
		{"containers", "volumes", "secrets", "environment", "networks", "legacySharedCgroups"},
		{"volumes", "role", "scheduling"},
	},
}

// further checks what could be read of a definition in spite of the errors of
// shape that were found.
func further[T any](kind Kind, s *shape, part *T, found []Violation, check func(*T) []Violation) []Violation {
	doubtful := map[string]bool{}
	v := reflect.ValueOf(part).Elem()
	for _, f := range found {
		name := topField(f.Path)
		field := s.byName[name]
		switch {
		case f.Warning || field == nil && f.Status == 0: // an unknown one
			continue
		case field == nil || f.More > 0: // it may be anywhere
			return nil
		}
		if !field.computed {
			v.Field(field.index).SetZero()
		}
		doubtful[name] = true
		for _, names := range together[kind] {
			if !slices.Contains(names, name) {
				continue
			}
			for _, other := range names {
				doubtful[other] = true
			}
		}
	}
	return slices.DeleteFunc(check(part), func(f Violation) bool {
		name := topField(cmp.Or(f.Place, f.Path))
		return s.byName[name] == nil || doubtful[name]
	})
}

// topField is the field of a definition that a path leads into.
func topField(path string) string {
	name := strings.TrimPrefix(path, "/")
	if end := strings.IndexAny(name, "/("); end >= 0 {
		name = name[:end]
	}
	return name
}
