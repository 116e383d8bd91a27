package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/sources"
)

// TestEverySourceTypeIsComplete holds the table of source types to what reads it.
func TestEverySourceTypeIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	glossary, err := os.ReadFile("../../docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	term := regexp.MustCompile(`(?m)^\| source \|.*$`).FindString(string(glossary))
	table := reflect.TypeFor[Source]()
	for i := range table.NumField() {
		field := table.Field(i)
		key := field.Tag.Get("yaml")
		member, complete := reflect.New(field.Type.Elem()).Interface().(sourceType)
		if !complete {
			t.Errorf("%s: %s does not implement sourceType", key, field.Type)
			continue
		}
		var s Source
		reflect.ValueOf(&s).Elem().Field(i).Set(reflect.ValueOf(member))
		fill(reflect.ValueOf(member).Elem())
		if s.Type() != key || s.PollInterval() <= 0 || s.Options() == nil {
			t.Errorf("%s: type %q, poll interval %s, options %v", key, s.Type(), s.PollInterval(), s.Options())
		}
		for _, row := range []string{"`sources.NAME." + key + "`", "`sources.NAME." + key + ".interval`"} {
			if !strings.Contains(string(page), "| "+row+" |") {
				t.Errorf("docs/configuration.md has no row for %s", row)
			}
		}
		if !strings.Contains(term, key) {
			t.Errorf("docs/glossary.md does not name %s as a source: %q", key, term)
		}
	}
}

// TestWebhookIsNoContent: a source with another secret is the same source, and one
// with another URL is not.
func TestWebhookIsNoContent(t *testing.T) {
	s := Source{Git: &Git{URL: "https://git.example.com/a", Webhook: Webhook{Secret: Secret{Env: "HOOK"}}}}
	key, secret := s.WebhookSecret()
	if key != "git.webhook.secret" || secret.Env != "HOOK" {
		t.Errorf("secret %v at %q", secret, key)
	}
	bare, moved := Source{Git: &Git{URL: s.Git.URL}}, Source{Git: &Git{URL: "https://git.example.com/b"}}
	if s.Fingerprint() != bare.Fingerprint() || s.Fingerprint() == moved.Fingerprint() {
		t.Errorf("fingerprints %s, %s, %s", s.Fingerprint(), bare.Fingerprint(), moved.Fingerprint())
	}
	if !reflect.DeepEqual(s.Content(), bare) || s.Git.Webhook.Secret.Env != "HOOK" {
		t.Errorf("content %+v of %+v", s.Content().Git, s.Git)
	}
	if key, secret := (Source{Directory: &Directory{Path: "."}}).WebhookSecret(); secret.IsSet() {
		t.Errorf("a directory has the secret %v at %q", secret, key)
	}
	if key, secret := (Source{}).WebhookSecret(); secret.IsSet() {
		t.Errorf("a source that does not exist has the secret %v at %q", secret, key)
	}
}

func TestParseSource(t *testing.T) {
	s, path, err := ParseSource("https://git.example.com/team/repo.git//prod?ref=main")
	if err != nil || path != "prod" || s.Type() != "git" || s.Options().(sources.GitOptions).Ref != "main" {
		t.Errorf("%+v in %q: %v", s.Git, path, err)
	}
	s, path, err = ParseSource("./apps")
	if err != nil || path != "" || s.Type() != "directory" {
		t.Errorf("%+v in %q: %v", s.Directory, path, err)
	}
}
