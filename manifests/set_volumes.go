package manifests

import "slices"

// volumeKey is what makes external volumes one and the same.
type volumeKey struct{ provider, name string }

// volumeUser is an app that has an external volume.
type volumeUser struct {
	*definition
	path   string
	shared bool
}

// externalVolumes reports volumes of one name in several apps, which Marathon
// refuses unless all share it. Source:
// ProviderValidationHelpers.validateUniqueVolumes.
func (s *set) externalVolumes() {
	users := map[volumeKey][]volumeUser{}
	for _, d := range s.definitions {
		if d.item == nil || d.item.App == nil || d.item.App.Container == nil {
			continue
		}
		for i, v := range d.item.App.Container.Volumes {
			if e := v.External; e != nil && e.Name != nil && e.Provider != nil {
				key := volumeKey{*e.Provider, *e.Name}
				users[key] = append(users[key], volumeUser{d, "/container/volumes(" + itoa(i) + ")/external/name", v.isShared()})
			}
		}
	}
	for key, all := range users {
		for _, u := range all {
			other := slices.IndexFunc(all, func(o volumeUser) bool { return o.id != u.id && !(o.shared && u.shared) })
			if other >= 0 {
				s.problem(u.definition, u.path, "the external volume %q is that of %s, too (%s): give it another name, or let both share it", clip(key.name), all[other].id, all[other].where())
			}
		}
	}
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
