package manifests

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// IgnoreFile is the name of the file that lists, in the syntax of .gitignore,
// what in its folder and below is no manifest.
const IgnoreFile = ".pacerignore"

const (
	maxIgnoreRules = 500  // with those of the folders above
	maxIgnoreRule  = 1000 // bytes
	maxWildcards   = 20   // in a line: each is looked for anew at every character of every path
)

// ignoreRule is one line of an ignore file.
type ignoreRule struct {
	folder  string // of the file: the rule holds below it
	pattern *regexp.Regexp
	include bool // "!": takes back what a rule before ignored
	folders bool // "/" at the end: holds for folders only
}

// readIgnore reads an ignore file. A line that cannot be understood is a fault:
// without it more would be applied than was meant.
func readIgnore(data []byte, folder string) (rules []ignoreRule, faults []syntax.Fault) {
	for i, line := range strings.Split(string(data), "\n") {
		if i > maxIgnoreRules {
			return nil, append(faults, syntax.Fault{Place: syntax.Place{Line: i + 1, Column: 1}, Message: fmt.Sprintf("more than %d lines: use patterns that match more files each", maxIgnoreRules)})
		}
		rule, err := parseIgnore(strings.TrimSuffix(line, "\r"))
		if err != nil {
			faults = append(faults, syntax.Fault{Place: syntax.Place{Line: i + 1, Column: 1}, Message: err.Error()})
		} else if rule.pattern != nil {
			rule.folder = folder
			rules = append(rules, rule)
		}
	}
	return rules, faults
}

// parseIgnore reads one line as gitignore(5) says; a line that is none of its
// patterns (blank, comment) gives a rule without a pattern.
func parseIgnore(line string) (ignoreRule, error) {
	var r ignoreRule
	if len(line) > maxIgnoreRule {
		return r, fmt.Errorf("the pattern is longer than %d bytes: shorten it", maxIgnoreRule)
	}
	if strings.HasPrefix(line, "#") {
		return r, nil
	}
	if strings.Count(line, "*")+strings.Count(line, "?")+strings.Count(line, "[") > maxWildcards {
		return r, fmt.Errorf("the pattern has more than %d wildcards: use a simpler one", maxWildcards)
	}
	line = trimBlanks(line)
	if line, r.include = strings.CutPrefix(line, "!"); line == "" {
		return ignoreRule{}, nil
	}
	if line, r.folders = strings.CutSuffix(line, "/"); line == "" {
		return ignoreRule{}, nil
	}
	// A slash before the end ties the pattern to the folder of the file.
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	expression, err := globExpression(line)
	if err != nil {
		return r, err
	}
	if !anchored {
		expression = "(?:.*/)?" + expression
	}
	if r.pattern, err = regexp.Compile("(?s)^" + expression + "$"); err != nil {
		return r, errors.New("is not a .gitignore pattern: check the brackets")
	}
	return r, nil
}

// trimBlanks drops trailing blanks but for one after a backslash.
func trimBlanks(line string) string {
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	return line
}

// globExpression turns a pattern into a regular expression, which Go matches in
// linear time whatever the pattern.
func globExpression(glob string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(glob); {
		rest := glob[i:]
		switch {
		case rest == "**" && (i == 0 || glob[i-1] == '/'):
			b.WriteString(".*")
			i += 2
		case strings.HasPrefix(rest, "**/") && (i == 0 || glob[i-1] == '/'):
			b.WriteString("(?:.*/)?")
			i += 3
		case rest[0] == '*':
			b.WriteString("[^/]*")
			i++
		case rest[0] == '?':
			b.WriteString("[^/]")
			i++
		case rest[0] == '[':
			class, n, err := classExpression(rest)
			if err != nil {
				return "", err
			}
			b.WriteString(class)
			i += n
		case rest[0] == '\\':
			if len(rest) == 1 {
				return "", errors.New(`a backslash at the end escapes nothing: write "\\" for a backslash`)
			}
			_, size := utf8.DecodeRuneInString(rest[1:])
			b.WriteString(regexp.QuoteMeta(rest[1 : 1+size]))
			i += 1 + size
		default:
			_, size := utf8.DecodeRuneInString(rest)
			b.WriteString(regexp.QuoteMeta(rest[:size]))
			i += size
		}
	}
	return b.String(), nil
}

// classExpression turns [abc], [a-z], [!a] and [[:digit:]] into a class that
// never matches "/".
func classExpression(glob string) (string, int, error) {
	i, negated := 1, false
	if i < len(glob) && (glob[i] == '!' || glob[i] == '^') {
		negated = true
		i++
	}
	var b strings.Builder
	for first := true; ; first = false {
		if i >= len(glob) {
			return "", 0, errors.New(`"[" is not closed: write "\[" for a bracket, or add "]"`)
		}
		if glob[i] == ']' && !first {
			break
		}
		if named, _, ok := strings.Cut(glob[i:], ":]"); ok && strings.HasPrefix(named, "[:") {
			b.WriteString(named + ":]")
			i += len(named) + 2
			continue
		}
		if glob[i] == '-' {
			b.WriteByte('-')
			i++
			continue
		}
		if glob[i] == '\\' && i+1 < len(glob) {
			i++
		}
		r, size := utf8.DecodeRuneInString(glob[i:])
		fmt.Fprintf(&b, `\x{%x}`, r)
		i += size
	}
	if negated {
		return "[^/" + b.String() + "]", i + 1, nil
	}
	return "[" + b.String() + "]", i + 1, nil
}

// ignored reports whether the rules leave out a path; of those that match, the
// last decides.
func ignored(rules []ignoreRule, path string, folder bool) bool {
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		below := path
		if r.folder != "." {
			below = strings.TrimPrefix(path, r.folder+"/")
		}
		if (folder || !r.folders) && r.pattern.MatchString(below) {
			return !r.include
		}
	}
	return false
}
