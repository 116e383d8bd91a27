package manifests

import (
	"cmp"
	"maps"
	"slices"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// volumeKey is what makes external volumes one and the same.
type volumeKey struct{ provider, name string }

// volumeUser is an app that has an external volume.
type volumeUser struct {
	*definition
	*volumeUse
}

// volumeUse is an external volume of an app.
type volumeUse struct {
	key    volumeKey
	path   string       // of its name
	at     syntax.Place // likewise
	shared bool
}

// externalVolumes reports volumes of one name in several apps, which Marathon
// refuses unless all share it. Source:
// ProviderValidationHelpers.validateUniqueVolumes.
func (s *set) externalVolumes() {
	users := map[volumeKey][]volumeUser{}
	for _, d := range s.definitions {
		for i := range d.volumes {
			use := &d.volumes[i]
			users[use.key] = append(users[use.key], volumeUser{d, use})
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(users), compareVolumeKeys) {
		all := users[key]
		both, unshared := firstOfTwo(all), firstOfTwo(slices.DeleteFunc(slices.Clone(all), func(u volumeUser) bool { return u.shared }))
		for _, u := range all {
			others := both
			if u.shared {
				others = unshared
			}
			if i := slices.IndexFunc(others, func(o volumeUser) bool { return o.id != u.id }); i >= 0 {
				s.problemAt(u.definition, u.at, u.path, "the external volume %q is also used by %s (%s): give it another name, or let both share it", clip(key.name), others[i].id, others[i].where())
			}
		}
	}
}

func compareVolumeKeys(a, b volumeKey) int {
	return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.name, b.name))
}

// firstOfTwo are the first of these users, and the first that is another app: one
// of them is another app than any third.
func firstOfTwo(users []volumeUser) []volumeUser {
	if len(users) == 0 {
		return nil
	}
	if i := slices.IndexFunc(users, func(u volumeUser) bool { return u.id != users[0].id }); i > 0 {
		return []volumeUser{users[0], users[i]}
	}
	return users[:1]
}

// isShared reports whether other apps may have an external volume, too: of csi,
// as its mode of access says.
func (v *Volume) isShared() bool {
	if *v.External.Provider != providerCSI {
		return value(v.External.Shared, no)
	}
	capability, _ := v.External.Options["capability"].(map[string]any)
	switch capability["accessMode"] {
	case "MULTI_NODE_READER_ONLY", "MULTI_NODE_MULTI_WRITER":
		return true
	case "MULTI_NODE_SINGLE_WRITER":
		return v.Mode != nil && *v.Mode == "RO"
	}
	return false
}
