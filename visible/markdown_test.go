package visible

import "testing"

func TestMarkdown(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"only instances differ: no restart": "only instances differ: no restart",
		"needs /shop/web, which failed.":    "needs /shop/web, which failed.",
		"5":                                 "5",
		"1. x":                              "`1. x`",
		"@team":                             "`@team`",
		"see GH-12":                         "`see GH-12`",
		"at deadbeef":                       "`at deadbeef`",
		"www.example.com":                   "`www.example.com`",
		"https://example.com":               "`https://example.com`",
		"a `b` c":                           "``a `b` c``",
		"`":                                 "`` ` ``",
		" x ":                               "`  x  `",
		"two\nlines":                        "`two\\nlines`",
		"# x":                               "`# x`",
	} {
		if got := Markdown(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if got, want := MarkdownBlock("diff", "a\n```\nb\n"), "````diff\na\n```\nb\n````\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := Cell(Markdown("a|b")), "`a\\|b`"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
