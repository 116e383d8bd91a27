package store

import "testing"

func TestOrTakesWhatExplainsMore(t *testing.T) {
	person := func(user, verb string) Asked { return Asked{By: AskedByPerson, User: user, Verb: verb} }
	poll, retry := Asked{By: AskedByPoll}, Asked{By: AskedByRetry}
	for _, c := range []struct{ a, b, want Asked }{
		{Asked{}, retry, retry},
		{retry, poll, poll},
		{poll, retry, poll},
		{poll, person("ada", "sync"), person("ada", "sync")},
		{person("ada", "sync"), person("bob", "release"), person("bob", "release")},
		{person("bob", "release"), person("ada", "sync"), person("bob", "release")},
		{person("ada", "approve"), person("bob", "approve"), person("ada", "approve")},
	} {
		if got := c.a.Or(c.b); got != c.want {
			t.Errorf("%s or %s is %s, want %s", c.a, c.b, got, c.want)
		}
	}
}

func TestAskedIsToldWhole(t *testing.T) {
	for want, a := range map[string]Asked{
		"poll":                   {By: AskedByPoll},
		"webhook from 10.0.0.9":  {By: AskedByWebhook, Address: "10.0.0.9"},
		"person":                 {By: AskedByPerson},
		"person (page): suspend": {By: AskedByPerson, Via: "page", Verb: "suspend"},
		"person ada@laptop (command line, act token) from 10.0.0.7: rollback (it hangs)": {
			By: AskedByPerson, Verb: "rollback", User: "ada@laptop", Token: "act", Via: "command line", Address: "10.0.0.7", Reason: "it hangs"},
	} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
