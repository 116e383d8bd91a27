package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// override is a variable whose value goes before that of the file, or of syncs by
// default.
type override struct {
	given  Given
	places []string // of the values in the file
}

// noteOverride notes what a given value takes the place of. Whether that is worth
// being told:
//
//	from a flag                                      no: who typed it sees it
//	from the environment, in place of the same       no
//	from the environment, in place of another        yes
//	from the environment, for a sync without one     yes: it holds for every sync
//	from the environment, elsewhere without one      no: it is how it is given
func (d *decoder) noteOverride(g Given, before *yaml.Node) {
	inFile := before.Kind != 0
	switch {
	case g.Default || !strings.HasPrefix(g.Origin, fromEnvironment):
		return
	case inFile && before.Kind == yaml.ScalarNode && before.Value == g.Value:
		return
	case !inFile && (!strings.HasPrefix(g.Key, "syncs.") || isDefault(g)):
		return
	}
	if n := len(d.overrides); n == 0 || d.overrides[n-1].given.Origin != g.Origin {
		d.overrides = append(d.overrides, override{given: g})
	}
	if last := &d.overrides[len(d.overrides)-1]; inFile {
		last.places = append(last.places, d.where(before))
	}
}

// fromEnvironment begins the origin of what an environment variable gives.
const fromEnvironment = "environment variable "

// isDefault reports whether a given value is what holds without it.
func isDefault(g Given) bool {
	for _, o := range Options() {
		if o.Key == g.Key {
			return o.Default == g.Value
		}
	}
	return false
}

// overridden is a sentence for each variable. None shows a value, which may be a
// secret.
func (d *decoder) overridden() []string {
	var all []string
	for _, o := range d.overrides {
		what := o.given.Origin + " overrides " + strings.Replace(o.given.Key, ".NAME", ".*", 1)
		if strings.HasPrefix(o.given.Key, "syncs.") {
			what += " of every sync"
		}
		if len(o.places) > 0 {
			what += " (" + strings.Join(o.places, ", ") + ")"
		}
		all = append(all, what+": unset the variable to use the configuration's value")
	}
	return all
}
