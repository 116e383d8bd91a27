package config

import (
	"time"

	"github.com/pacer-gitops/pacer/sources"
)

// Directory is a directory of this machine.
type Directory struct {
	Path     string   `yaml:"path" kind:"path" jsonschema:"required" jsonschema_description:"the directory"`
	Interval Duration `yaml:"interval" jsonschema:"default=30s" jsonschema_description:"poll interval, in addition to file change events"`
}

func (s *Directory) check(d *decoder, key string) {
	if s.Path == "" {
		d.failAt(key+".path", "missing")
	}
}

func (s *Directory) options() sources.Options {
	return sources.DirectoryOptions{Path: s.Path, Poll: s.poll()}
}

func (s *Directory) poll() time.Duration { return time.Duration(s.Interval) }

func (s *Directory) reporting() (*Webhook, *Forge) { return nil, nil }
