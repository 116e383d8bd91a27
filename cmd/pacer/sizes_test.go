package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// How large a type may be without a reason in docs/architecture.md.
const (
	mostMethods = 25
	mostFields  = 20
)

// size is how many methods and fields a type has.
type size struct{ methods, fields int }

func (s size) large() bool { return s.methods > mostMethods || s.fields > mostFields }

// about reports whether a size is given as another, or as a little more than that.
func (s size) about(of size) bool {
	const slack = 5
	return of.methods <= s.methods && s.methods <= of.methods+slack && of.fields <= s.fields && s.fields <= of.fields+slack
}

func (s size) String() string { return fmt.Sprintf("%d methods, %d fields", s.methods, s.fields) }

// TestLargeTypesHaveAReason: docs/architecture.md names every type that is large, with
// its size and why, and no other.
func TestLargeTypesHaveAReason(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]size{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([\\w/]+\\.\\w+)` \\| (\\d+) methods, (\\d+) fields \\| .{30,} \\|$").FindAllStringSubmatch(string(page), -1) {
		methods, _ := strconv.Atoi(row[2])
		fields, _ := strconv.Atoi(row[3])
		named[row[1]] = size{methods, fields}
	}
	for name, s := range typeSizes(t) {
		switch row, is := named[name]; {
		case s.large() && !is:
			t.Errorf("%s has %v: divide it, or give the reason in docs/architecture.md", name, s)
		case is && !s.large():
			t.Errorf("%s has %v, which needs no reason any more: remove its row from docs/architecture.md", name, s)
		case is && !row.about(s):
			t.Errorf("%s has %v, and docs/architecture.md says %v", name, s, row)
		}
		delete(named, name)
	}
	for name := range named {
		t.Errorf("docs/architecture.md gives a reason for the size of %s, which does not exist", name)
	}
}

// typeSizes are the types of the product by folder and name.
func typeSizes(t *testing.T) map[string]size {
	t.Helper()
	sizes := map[string]size{}
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../../")
		for _, d := range file.Decls {
			measure(d, func(name string, s size) {
				before := sizes[folder+"."+name]
				sizes[folder+"."+name] = size{before.methods + s.methods, before.fields + s.fields}
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// measure adds the size of what a declaration declares.
func measure(d ast.Decl, add func(name string, s size)) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return
		}
		receiver := d.Recv.List[0].Type
		if pointer, is := receiver.(*ast.StarExpr); is {
			receiver = pointer.X
		}
		if name, is := receiver.(*ast.Ident); is {
			add(name.Name, size{methods: 1})
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			declared, is := spec.(*ast.TypeSpec)
			if !is {
				continue
			}
			if s, is := declared.Type.(*ast.StructType); is {
				for _, field := range s.Fields.List {
					add(declared.Name.Name, size{fields: cmp.Or(len(field.Names), 1)})
				}
			}
		}
	}
}
