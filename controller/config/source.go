package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/sources"
)

// Source is one source of manifests: exactly one of the members.
//
// This is the table of source types. One more is a member here, and a file that
// has its keys and its methods, such as source_directory.go: keys, defaults,
// schema and documentation are read from the tags, all else asks the methods.
type Source struct {
	Git       *Git       `yaml:"git" jsonschema_description:"git repository"`
	Directory *Directory `yaml:"directory" jsonschema_description:"directory on this machine"`
}

// sourceType is what each member of Source implements.
type sourceType interface {
	// check reports what decoding cannot find; key is that of the member.
	check(d *decoder, key string)
	// options are those that the source is opened with.
	options() sources.Options
	// poll is the time between two polls.
	poll() time.Duration
	// reporting points at how a forge tells that the source has moved, and at the forge
	// that is told what becomes of it; nil: the type has none.
	reporting() (*Webhook, *Forge)
}

// Webhook is how a forge tells that its repository has moved.
type Webhook struct {
	Secret Secret `yaml:"secret" jsonschema_description:"secret that the forge signs its webhooks with (GitHub, Gitea, Forgejo, Bitbucket: HMAC-SHA-256) or sends along (GitLab); without it there is no webhook"`
}

// SourceTypes lists the types of sources by their keys, in the order of the table.
func SourceTypes() []string { return keysOf(reflect.TypeFor[Source]()) }

// member is the one member that is set, and its key; nil: none is, or several are,
// which check refuses.
func (s Source) member() (key string, t sourceType) {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Field(i).IsNil() {
			continue
		}
		if t != nil {
			return "", nil
		}
		key, t = v.Type().Field(i).Tag.Get("yaml"), v.Field(i).Interface().(sourceType)
	}
	return key, t
}

func (s Source) check(d *decoder, key string) {
	name, t := s.member()
	if t == nil {
		d.failAt(key, "expected either %s", strings.Join(SourceTypes(), " or "))
		return
	}
	t.check(d, key+"."+name)
}

// Type is the key of the type of a source that was checked, such as git.
func (s Source) Type() string {
	key, _ := s.member()
	return key
}

// Options are those that the source is opened with.
func (s Source) Options() sources.Options {
	_, t := s.member()
	return t.options()
}

// PollInterval is the time between two polls.
func (s Source) PollInterval() time.Duration {
	_, t := s.member()
	return t.poll()
}

// WebhookSecret is the secret of the source's webhook, and its key below that of the
// source. It is not set for a source that does not exist or has no webhook.
func (s Source) WebhookSecret() (key string, secret Secret) {
	name, t := s.member()
	if t == nil {
		return "", Secret{}
	}
	webhook, _ := t.reporting()
	if webhook == nil {
		return "", Secret{}
	}
	return name + ".webhook.secret", webhook.Secret
}

// Forge is the forge of a source that was checked; nil: it has none, or Pacer has no
// credentials for it.
func (s Source) Forge() *Forge {
	_, t := s.member()
	if t == nil {
		return nil
	}
	if _, f := t.reporting(); f != nil && f.IsSet() {
		return f
	}
	return nil
}

// Content is what of a source decides what is read from it: all but webhook and forge.
func (s Source) Content() Source {
	copied := s.copied()
	if _, t := copied.member(); t != nil {
		if webhook, forge := t.reporting(); webhook != nil {
			*webhook, *forge = Webhook{}, Forge{}
		}
	}
	return copied
}

// Fingerprint is a text that differs for sources which differ in their content.
func (s Source) Fingerprint() string {
	_, t := s.Content().member()
	return fmt.Sprintf("%+v", t)
}

// copied is a source of which nothing is shared with s.
func (s Source) copied() Source {
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsNil() {
			member := reflect.New(f.Type().Elem())
			member.Elem().Set(f.Elem())
			f.Set(member)
		}
	}
	return s
}

// with is the source that was named on the command line, with what flags and
// environment, which are in s, say of a source of its type, and with defaults.
func (s Source) with(named Source) Source {
	flags, both := reflect.ValueOf(s.copied()), reflect.ValueOf(&named).Elem()
	for i := range both.NumField() {
		if both.Field(i).IsNil() {
			continue
		}
		member := reflect.New(both.Field(i).Type().Elem())
		if !flags.Field(i).IsNil() {
			member = flags.Field(i)
		}
		fill(member.Elem())
		for j := range member.Elem().NumField() {
			if given := both.Field(i).Elem().Field(j); !given.IsZero() {
				member.Elem().Field(j).Set(given)
			}
		}
		both.Field(i).Set(member)
	}
	return named
}

// ParseSource is the source that a text of the command line names, a directory or
// the URL of a repository, and the path in it.
func ParseSource(text string) (s Source, path string, err error) {
	location, err := sources.Parse(text)
	if err != nil {
		return Source{}, "", err
	}
	if location.Dir != "" {
		return Source{Directory: &Directory{Path: location.Dir}}, "", nil
	}
	return Source{Git: &Git{URL: location.URL, Ref: location.Ref}}, location.Path, nil
}

// clones is the folder of all clones, in the state folder.
const clones = "git"

// CloneFolder is where the local copy of a named source is. A source that is
// configured differently has another folder, so that a reload can open the new one
// while the old one is still in use.
func (c *Config) CloneFolder(name string) string {
	sum := sha256.Sum256([]byte(c.Sources[name].Fingerprint()))
	return filepath.Join(c.StateDir, clones, name+"-"+hex.EncodeToString(sum[:4]))
}

// PullsFolder is where the local copy of the pull requests of a named source is: apart
// from what is deployed.
func (c *Config) PullsFolder(name string) string { return c.CloneFolder(name) + "-pulls" }

// CloneFolders is the folder of all clones, and the names of those in it that the
// configuration uses.
func (c *Config) CloneFolders() (folder string, used []string) {
	for name, s := range c.Sources {
		used = append(used, filepath.Base(c.CloneFolder(name)))
		if s.Forge() != nil {
			used = append(used, filepath.Base(c.PullsFolder(name)))
		}
	}
	return filepath.Join(c.StateDir, clones), used
}
