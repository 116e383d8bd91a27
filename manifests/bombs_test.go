package manifests

import (
	"fmt"
	"strings"
	"testing"
)

// upTo is a text of so many of a part, in which %d counts, and no more than a
// file may have.
func upTo(count int, before, part, after string) string {
	var b strings.Builder
	b.WriteString(before)
	for i := 0; i < count && b.Len()+len(part)+len(after)+8 < 1<<20; i++ {
		if strings.Contains(part, "%d") {
			fmt.Fprintf(&b, part, i)
		} else {
			b.WriteString(part)
		}
	}
	return b.String() + after
}

// inApp is a manifest of an app with that beside its id.
func inApp(more string) string { return `{"id": "/a", "cmd": "sleep 1", ` + more + `}` }

const (
	tooManyValues      = "the file has more than 100000 keys and values: split it into several files"
	tooManyDefinitions = "the file has more than 5000 apps, pods and groups: split it into several files"
	tooManyDocuments   = "the file has more than 2000 documents: split it into several files"
	tooManyDirectives  = `more than 16 lines begin with "%": directives are not supported, remove them; indent a text`
	tooManyMembers     = "at most 5000 are allowed; split the definition into several"
)

// TestBombs: no file of at most 1 MiB costs 64 MiB to read, whether it is refused,
// as most of these are before anything is made of them, or taken.
func TestBombs(t *testing.T) {
	const all = 1 << 20
	deep := strings.Repeat("/abcdefghi", 98)
	for _, c := range []struct{ name, file, content, want string }{
		{"TAG directives", "a.yaml", upTo(all, "", "%%TAG !%d! a\n", ""), "a.yaml:17:1: " + tooManyDirectives},
		{"TAG directives of a later document", "a.yaml", upTo(all, "a: b\n...\n", "%%TAG !%d! a\n", ""), "a.yaml:19:1: " + tooManyDirectives},
		{"TAG directives behind a mark", "a.yaml", upTo(all, "---\n", "%%TAG !%d! a\n", ""), "a.yaml:18:1: " + tooManyDirectives},
		{"directives by other line breaks", "a.yaml", upTo(all, "", "%%TAG !%d! a\u2028", ""), "a.yaml:1:"},
		{"VERSION directives", "a.yaml", upTo(all, "", "%YAML 1.1\n", ""), "a.yaml:17:1: " + tooManyDirectives},
		{"documents", "a.yaml", upTo(170_000, "", "---\n", ""), "a.yaml:2001:1: " + tooManyDocuments},
		{"documents with a word", "a.yaml", upTo(all, "", "--- a\n", ""), "a.yaml:2001:1: " + tooManyDocuments},
		{"documents by carriage returns", "a.yaml", upTo(all, "", "---\r", ""), "a.yaml:1:8001: " + tooManyDocuments},
		{"aliases", "a.yaml", upTo(190_000, "id: /a\nx: &a b\ncmd: x\nargs:\n", "- *a\n", ""), "a.yaml:99996:1: " + tooManyValues},
		{"aliases in a line", "a.yaml", upTo(190_000, "id: /a\nx: &a b\ncmd: x\nargs: [", "*a ,", "]\n"), "a.yaml:4:"},
		{"anchors", "a.yaml", upTo(all, "", "- &a%d x\n", ""), "a.yaml:5001:3: " + tooManyDefinitions},
		{"tags", "a.yaml", upTo(all, "", "- !a%d x\n", ""), "a.yaml:5001:3: " + tooManyDefinitions},
		{"volumes", "a.yaml", upTo(90_000, "id: /a\ncmd: x\ncontainer:\n  volumes:\n", "  - {}\n", ""), "a.yaml:50000:5: " + tooManyValues},
		{"volumes in a line", "a.yaml", upTo(90_000, "id: /a\ncmd: x\ncontainer:\n  volumes: [", "{},", "]"), "a.yaml:4:"},
		{"volumes that are nothing", "a.yaml", upTo(90_000, "id: /a\ncmd: sleep 1\ncontainer:\n  type: MESOS\n  volumes:\n", "  -\n", ""), "a.yaml:5:3: /a: volumes has 90000 members: " + tooManyMembers},
		{"volumes in JSON", "a.json", inApp(upTo(49_000, `"container": {"type": "MESOS", "volumes": [`, "{},", "{}]}")), "a.json:1:63: /a: volumes has 49001 members: " + tooManyMembers},
		{"volumes with much each", "a.json", inApp(upTo(2_000, `"container": {"volumes": [`, `{"x": {"y": [1, 2, 3, 4, 5, 6, 7, 8, 9]}},`, "{}]}")), "a.json:1:"},
		{"one volume with all", "a.json", inApp(upTo(19, `"container": {"volumes": [{"x": [`, `[`+strings.Repeat("1,", 4_990)+`1],`, `1]}]}`)), "a.json:1:"},
		{"volumes that are numbers", "a.json", inApp(upTo(99_000, `"container": {"type": "MESOS", "volumes": [`, "1,", "1]}")), "a.json:1:63: /a: volumes has 99001 members: " + tooManyMembers},
		{"constraints", "a.json", inApp(upTo(99_000, `"constraints": [`, "1,", "1]")), "a.json:1:32: /a: constraints has 99001 members: " + tooManyMembers},
		{"labels", "a.json", inApp(upTo(6_000, `"labels": {`, `"k%d": 1,`, `"z": 1}`)), "a.json:1:32: /a: labels has 6001 members: " + tooManyMembers},
		{"options", "a.json", inApp(upTo(40_000, `"container": {"volumes": [{"external": {"options": {`, `"k%d": 1,`, `"z": 1}}}]}`)), "a.json:1:"},
		{"dependencies", "a.json", inApp(upTo(50_000, `"dependencies": [`, `"a%d",`, `"z"]`)), "a.json:1:32: /a: dependencies has 50001 members: " + tooManyMembers},
		{"short ids of long ones", "a.json", `{"id": "` + deep + `", "apps": [` + strings.TrimSuffix(upTo(19, "", inApp(upTo(4_900, `"dependencies": [`, `"%d",`, `"z"]`))+",", ""), ",") + "]}",
			"a.json:1:14842: the ids and dependencies of the file come to more than 2097152 bytes: split it into several files"},
		{"a deep id", "a.json", `{"id": "` + strings.Repeat("/a", 101) + `", "cmd": "sleep 1"}`, `a.json:1:2: the id "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a…" lies deeper in groups than 100: shorten it`},
		{"keys without values", "a.yaml", upTo(190_000, "{", "k%d,", "}"), "a.yaml:1:"},
		{"a list", "a.yaml", upTo(190_000, "[", "a,", "]"), "a.yaml:1:100001: " + tooManyValues},
		{"a block list", "a.yaml", upTo(190_000, "", "- a\n", ""), "a.yaml:100000:1: " + tooManyValues},
		{"numbers to be read twice", "a.yaml", upTo(90_000, "id: /a\nargs:\n", "- 1.5e3\n", ""), "a.yaml:25003:3: YAML readers differ on more than 25000 values"},
		{"words to be read twice", "a.yaml", upTo(4_900, "id: /a\nargs:\n", "- ./a\n", ""), ""},
		{"tags that are text, to be read twice", "a.yaml", upTo(49_000, "", "-  - ! a\n", ""), "a.yaml:1:"},
		{"text that is to be read twice", "a.yaml", upTo(15_000, "id: /a\nlabels:\n  a: \"x\t# y\"\nenv:\n", " k%d: a\n", ""), "a.yaml:1:1: YAML readers differ on more than 25000 values"},
		{"question marks", "a.yaml", upTo(all, "", "? a\n", ""), "a.yaml:50000:1: " + tooManyValues},
		{"keys by other line breaks", "a.yaml", upTo(all, "", "k%d:\u2028", ""), "a.yaml:1:"},
		{"labels in YAML", "a.yaml", upTo(all, "id: /a\ncmd: sleep 1\nlabels:\n", " k%d: a\n", ""), "a.yaml:50000:8: " + tooManyValues},
		{"a long key", "a.json", inApp(`"labels": {"` + strings.Repeat("k", 1_001) + `": ""}`), "a.json:1:1046: a key is longer than 1000 bytes: shorten it"},
		{"a long key in YAML", "a.yaml", "id: /a\nlabels:\n  ? " + strings.Repeat("k", 1_001) + "\n  : a\n", "a.yaml:3:5: a key is longer than 1000 bytes: shorten it"},
		{"a long key before a long list", "a.json", inApp(`"container": {"volumes": [{"external": {"options": {"` + strings.Repeat("k", 100_000) + `": [` + strings.Repeat("1,", 4_000) + `1]}}}]}`), "a.json:1:100086: a key is longer"},
		{"ids in a list", "a.json", upTo(22_000, "[", `{"id":"/a"},`, `{"id":"/a"}]`), "a.json:1:60007: " + tooManyDefinitions},
		{"ids in YAML", "a.yaml", upTo(22_000, "", "- id: /a\n", ""), "a.yaml:5001:5: " + tooManyDefinitions},
		{"definitions without ids", "a.json", upTo(45_000, "[", "{},", "{}]"), "a.json:1:15002: " + tooManyDefinitions},
		{"apps that are numbers", "a.json", upTo(95_000, `{"id": "/a", "apps": [`, "1,", "1]}"), "a.json:1:10021: " + tooManyDefinitions},
		{"one long expression", "a.json", inApp(`"constraints": [["a", "LIKE", "` + strings.Repeat("a*", 500_000) + `"]]`), "a.json:1:48: /a: constraint [a, LIKE, a*a*a*"},
		{"expressions of repetitions", "a.json", inApp(upTo(1_000, `"constraints": [`, `["a", "LIKE", "`+strings.Repeat("x{1000}", 140)+`"],`, `["a", "UNIQUE"]]`)), ""},
		{"expressions of classes", "a.json", inApp(upTo(100, `"constraints": [`, `["a", "LIKE", "`+strings.Repeat(`[\\pL\\PN]`, 1_000)+`"],`, `["a", "UNIQUE"]]`)), ""},
		{"expressions of dots", "a.json", inApp(upTo(104, `"constraints": [`, `["a", "LIKE", "`+strings.Repeat(".?", 4_990)+`"],`, `["a", "UNIQUE"]]`)), ""},
		{"a volume's expression", "a.json", inApp(`"container": {"type": "MESOS", "volumes": [{"containerPath": "v", "mode": "RW", "persistent": {"size": 1, "type": "path", "constraints": [["path", "LIKE", "` + strings.Repeat("x{1000}", 2_000) + `"]]}}]}`), "a.json:1:"},
		{"networks and their names", "a.json", inApp(upTo(4_000, `"networks": [`, `{"mode": "container", "name": "n%d"},`, `{"name": "x"}]`) + upTo(4_000, `, "container": {"type": "MESOS", "portMappings": [`, `{"networkNames": ["y%d"]},`, `{}]}`)), "a.json:1:"},
		{"a pod's volumes and mounts", "a.json", `{"id": "/a", "containers": [{"name": "c", "resources": {"cpus": 1, "mem": 1}, "volumeMounts": [` + upTo(4_000, "", `{"name": "v%d", "mountPath": "a"},`, `{"name": "x", "mountPath": "a"}]}], "volumes": [`) + upTo(4_000, "", `{"name": "w%d"},`, `{"name": "y"}]}`), "a.json:1:"},
		{"unprintable text", "a.json", inApp(`"constraints": [["a", "LIKE", "(` + strings.Repeat(`\u0001`, 170_000) + `"]]`), "a.json:1:48: /a: constraint"},
		{"an error at the end", "a.yaml", upTo(all, "", "aaa: bbbbbbbbbbbbbbbbbb\n", "x: ["), "a.yaml:43691:1: YAML"},
		{"escapes", "a.yaml", upTo(all, `a: "`, `\u0041`, `"`), "a.yaml:1:1: none of the keys"},
		{"comments", "a.yaml", upTo(all, "", "#a\n", "cmd: sleep 1\nid: /a"), ""},
		{"blank lines", "a.yaml", upTo(all, "id: /a\ncmd:\n", "\n", " sleep"), ""},
		{"a text of short lines", "a.yaml", upTo(all, "id: /a\ncmd: |\n", " a\n", ""), ""},
		{"colons", "a.yaml", upTo(all, "", "a:b:", ""), "a.yaml:1:1: "},
		{"indents", "a.yaml", func() string {
			var b strings.Builder
			for i := range 1_400 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), "a.yaml:101:101: lists and objects are nested deeper than 100"},
		{"missing commas", "a.json", upTo(all, "[", "\"a\"\n", ""), "a.json:1:5: "},
		{"closing brackets", "a.json", upTo(all, "[", "}", ""), "a.json:1:2: "},
		{"bare words", "a.json", upTo(all, "", "a ", ""), "a.json:1:1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.content) > all {
				t.Fatalf("%d bytes", len(c.content))
			}
			fsys := oneFile(c.file, c.content)
			var d Desired
			spent := allocated(func() { d = NewReader().Read(fsys, Options{}) })
			if spent > mostAllocated {
				t.Errorf("allocated %d MiB", spent>>20)
			}
			problems := texts(d)
			if c.want == "" {
				if len(d.Items) != 1 {
					t.Errorf("%d items, problems %.500q", len(d.Items), problems)
				}
				return
			}
			if len(problems) == 0 || len(problems) > maxFileProblems+1 || !strings.HasPrefix(problems[0], c.want) {
				t.Errorf("%d problems, the first %.300q\nwant %q", len(problems), problems[:min(1, len(problems))], c.want)
			}
			if len(d.Items) > 0 || len(d.Broken)+len(d.Unreadable) == 0 {
				t.Errorf("%d items, and nothing is marked", len(d.Items))
			}
		})
	}
}

// TestOrdinaryFilesAreNoBombs: what people write stays below the limits, however
// much a file has of it.
func TestOrdinaryFilesAreNoBombs(t *testing.T) {
	script := "id: /script%d\ncmd: |\n" + strings.Repeat("  # 100% sure: a, b, c\n  test -n \"$A\" && exec ./run --flag='x: y' *.json & # id: none\n  %d items!\n", 30)
	for _, c := range []struct {
		name, file, content string
		items               int
	}{
		{"700 apps in a list", "a.yaml", upTo(700, "", "- "+strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf(strings.Replace(benchYAML, "app%d", "app%%d", 1), 1, 1)), "\n", "\n  ")+"\n", ""), 700},
		{"1,500 apps as documents", "a.yaml", upTo(1_500, "", "---\n"+fmt.Sprintf(strings.Replace(benchYAML, "app%d", "app%%d", 1), 1, 1), ""), 1_500},
		{"1,500 apps in JSON", "a.json", strings.TrimSuffix(upTo(1_500, "[", fmt.Sprintf(strings.Replace(benchJSON, "app%d", "app%%d", 1), 1, 1)+",", ""), ",") + "]", 1_500},
		{"scripts", "a.yaml", upTo(300, "", "---\n"+strings.ReplaceAll(strings.ReplaceAll(script, "%", "%%"), "script%%d", "script%d"), ""), 300},
		{"an app with 1,000 ports", "a.json", inApp(upTo(1_000, `"networks": [{"mode": "container/bridge"}], "container": {"docker": {"image": "a"}, "portMappings": [`, `{"containerPort": %d},`, `{"containerPort": 0}]}`)), 1},
		{"an app with 3,000 variables", "a.json", inApp(upTo(3_000, `"env": {`, `"VARIABLE_%d": "value",`, `"Z": ""}`)), 1},
		{"an expression of 300 names", "a.json", inApp(`"constraints": [["hostname", "LIKE", "(` + upTo(300, "", `node-%d\\.example\\.com|`, "x)") + `"]]`), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := oneFile(c.file, c.content)
			var d Desired
			spent := allocated(func() { d = NewReader().Read(fsys, Options{}) })
			if len(d.Items) != c.items || len(d.Problems) > 0 {
				t.Errorf("%d items of %d bytes, want %d; problems %.500q", len(d.Items), len(c.content), c.items, texts(d)[:min(2, len(d.Problems))])
			}
			if spent > mostAllocated {
				t.Errorf("allocated %d MiB", spent>>20)
			}
		})
	}
}

// TestReadingGrowsWithTheFile: twice as much of anything costs about twice as
// much to read, right or damaged.
func TestReadingGrowsWithTheFile(t *testing.T) {
	for _, c := range []struct{ name, file, before, part, after string }{
		{"members", "a.json", `{"id": "/a", "cmd": "x", "env": {`, `"k%d": "v",`, `"z": ""}}`},
		{"definitions", "a.json", `[`, `{"id": "/a%d", "cmd": "sleep 1"},`, `{"id": "/z", "cmd": "sleep 1"}]`},
		{"no commas", "a.json", `{"a": [`, `"b%d" `, `]}`},
		{"no quotes", "a.json", `{`, `k%d: v,`, `}`},
		{"open brackets", "a.json", ``, `[1],`, ``},
		{"open strings", "a.json", `[`, "\"a%d\n", ``},
		{"comments", "a.json", `[`, "// %d\n", `]`},
		{"escapes", "a.json", `"`, `\u00e9`, `"`},
		{"wrong escapes", "a.json", `["`, `\x`, `"]`},
		{"block", "a.yaml", "id: /a\ncmd: x\nenv:\n", " k%d: v\n", ""},
		{"flow", "a.yaml", "id: /a\ncmd: x\nenv: {", "k%d: v, ", "z: y}"},
		{"documents", "a.yaml", "", "---\nid: /a%d\ncmd: sleep 1\n", ""},
		{"wrong indent", "a.yaml", "a:\n", "  b%d: c\n", " d: e\n"},
		{"open quote", "a.yaml", "a: \"", "b%d\n", ""},
		{"unset names", "a.yaml", "id: /a\ncmd: '", "${", "'\n"},
		{"set names", "a.yaml", "id: /a\ncmd: '", "${A} ", "'\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cost := func(count int) float64 {
				fsys := oneFile(c.file, upTo(count, c.before, c.part, c.after))
				return float64(allocated(func() { NewReader().Read(fsys, Options{Substitute: map[string]string{"A": "value"}}) }))
			}
			if small, large := cost(400), cost(1_600); large > 5*small {
				t.Errorf("four times as much costs %.1f times as much", large/small)
			}
		})
	}
}

// TestSubstitutionIsBounded: four letters of a file may stand for a long value,
// but not without end.
func TestSubstitutionIsBounded(t *testing.T) {
	values := map[string]string{"A": strings.Repeat("x", 10_000)}
	for count, want := range map[int]string{
		100: "",
		200: "a.yaml:1:1: the values substituted for ${…} come to more than 1048576 bytes: split the file, or shorten the values of substitute",
	} {
		var d Desired
		fsys := oneFile("a.yaml", upTo(count, "id: /a\ncmd: sleep 1\nargs: []\nlabels: {x: '", "${A}", "'}\n"))
		fsys["b.yaml"] = file("id: /b\ncmd: sleep ${A\n")
		spent := allocated(func() { d = NewReader().Read(fsys, Options{Substitute: values}) })
		if got := strings.Join(texts(d), "\n"); got != want {
			t.Errorf("%d times: %q, want %q", count, got, want)
		}
		if spent > 16<<20 {
			t.Errorf("allocated %d MiB", spent>>20)
		}
	}
}

// TestManyFilesOfTooManyIds: what is refused in each of many files is refused
// before anything is made of it.
func TestManyFilesOfTooManyIds(t *testing.T) {
	text := upTo(22_000, "[", `{"id":"/a"},`, `{"id":"/a"}]`)
	files := oneFile("fine.json", `{"id": "/fine", "cmd": "sleep 1"}`)
	for i := range 60 {
		files[fmt.Sprintf("f%02d.json", i)] = file(text)
	}
	var d Desired
	spent := allocated(func() { d = NewReader().Read(files, Options{}) })
	if len(d.Problems) != 60 || len(d.Unreadable) != 60 || len(d.Items) != 1 {
		t.Errorf("%d problems, %d unreadable, %d items", len(d.Problems), len(d.Unreadable), len(d.Items))
	}
	if spent > mostAllocated {
		t.Errorf("allocated %d MiB", spent>>20)
	}
}

// TestIgnoreFileIsBounded: neither its patterns nor matching them costs without
// end.
func TestIgnoreFileIsBounded(t *testing.T) {
	files := oneFile("a.json", `{"id": "/a", "cmd": "sleep 1"}`)
	files[IgnoreFile] = file(strings.Repeat(strings.Repeat("*a", 499)+"\n", 500))
	var d Desired
	spent := allocated(func() { d = NewReader().Read(files, Options{}) })
	if len(d.Items) > 0 || len(d.Problems) == 0 || !strings.HasPrefix(texts(d)[0], IgnoreFile+":1:1: the pattern has more than 20 wildcards") {
		t.Errorf("%d items, problems %.200q", len(d.Items), texts(d)[:min(1, len(d.Problems))])
	}
	if spent > 8<<20 {
		t.Errorf("allocated %d MiB", spent>>20)
	}
}
