package main

import (
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/config"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/marathon/cache"
	"github.com/pacer-gitops/pacer/controller/zookeeper"
	"github.com/pacer-gitops/pacer/sources"
)

// The table of options says what holds in pacer; the packages have a default each
// for who uses them without. They are the same.
func TestDefaultsOfPackagesAreThoseOfTheConfiguration(t *testing.T) {
	want := map[string]time.Duration{
		"syncs.NAME.deadline":             apply.DefaultDeadline,
		"marathon.timeout":                marathon.DefaultTimeout,
		"marathon.resync":                 cache.DefaultResync,
		"sources.NAME.git.interval":       sources.DefaultInterval,
		"sources.NAME.directory.interval": sources.DefaultInterval,
		"zookeeper.sessionTimeout":        zookeeper.DefaultSessionTimeout,
	}
	for _, o := range config.Options() {
		if o.Key == "zookeeper.root" && o.Default != zookeeper.DefaultRoot {
			t.Errorf("%s: %s, but the package has %s", o.Key, o.Default, zookeeper.DefaultRoot)
		}
		inPackage, known := want[o.Key]
		if !known {
			continue
		}
		delete(want, o.Key)
		if inTable, err := time.ParseDuration(o.Default); err != nil || inTable != inPackage {
			t.Errorf("%s: %s, but the package has %s (%v)", o.Key, o.Default, inPackage, err)
		}
	}
	for key := range want {
		t.Errorf("there is no option %s", key)
	}
}
