package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// No SQL is built from strings: whatever is sent to the database is a constant of the
// source, or one of the embedded migrations. Values travel beside it.
func TestSQLIsConstant(t *testing.T) {
	const good = "package p\nconst all = `SELECT 1`\nfunc f() { const one = `SELECT ` + `$1`; db.Query(ctx, one, x); db.Exec(ctx, all); db.Exec(ctx, \"SELECT 1\") }"
	if n, bad := queriesIn(t, "good.go", good); n != 3 || bad != nil {
		t.Errorf("%d queries, refused %q", n, bad)
	}
	for _, call := range []string{
		`db.Query(ctx, "SELECT " + name)`, `db.Exec(ctx, fmt.Sprintf("SELECT %s", name))`, `tx.QueryRow(ctx, sql)`,
		`batch.Queue(sql)`, `db.Prepare(ctx, "name", sql)`, `db.Exec(ctx, string(sql))`, `pool.Query(ctx, strings.Join(parts, ""))`,
		`var all = name; db.Query(ctx, all)`,
	} {
		if _, bad := queriesIn(t, "bad.go", "package p\nfunc f(sql string) { "+call+" }"); len(bad) != 1 {
			t.Errorf("%s is let through", call)
		}
	}

	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, entry := range names {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n, bad := queriesIn(t, name, string(text))
		queries += n
		for _, place := range bad {
			t.Errorf("%s: SQL that is no constant", place)
		}
	}
	if queries < 8 {
		t.Errorf("only %d queries found", queries)
	}
}

// queriesIn counts the calls that send SQL, and names those whose SQL is no constant.
func queriesIn(t *testing.T, name, text string) (n int, bad []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		if declaration, ok := node.(*ast.GenDecl); ok && declaration.Tok == token.CONST {
			for _, s := range declaration.Specs {
				for _, ident := range s.(*ast.ValueSpec).Names {
					constants[ident.Name] = true
				}
			}
		}
		return true
	})
	var function string
	ast.Inspect(file, func(node ast.Node) bool {
		if f, ok := node.(*ast.FuncDecl); ok {
			function = f.Name.Name
		}
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		at := map[string]int{"Query": 1, "QueryRow": 1, "Exec": 1, "Prepare": 2, "Queue": 0}
		argument, sends := at[methodName(method, ok)]
		if !sends || len(call.Args) <= argument {
			return true
		}
		n++
		sql := call.Args[argument]
		// The one file that is read, from what is embedded.
		isMigration := name == "store.go" && function == "apply" && isCall(sql, "string", "sql")
		if !isConstant(sql, constants) && !isMigration {
			bad = append(bad, files.Position(call.Pos()).String())
		}
		return true
	})
	return n, bad
}

func methodName(s *ast.SelectorExpr, ok bool) string {
	if !ok {
		return ""
	}
	// r.URL.Query() sends nothing.
	if inner, nested := s.X.(*ast.SelectorExpr); nested && inner.Sel.Name == "URL" {
		return ""
	}
	return s.Sel.Name
}

func isConstant(e ast.Expr, constants map[string]bool) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.Ident:
		return constants[e.Name]
	case *ast.BinaryExpr:
		return e.Op == token.ADD && isConstant(e.X, constants) && isConstant(e.Y, constants)
	}
	return false
}

func isCall(e ast.Expr, function string, arguments ...string) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := call.Fun.(*ast.Ident)
	var got []string
	for _, argument := range call.Args {
		if ident, isIdent := argument.(*ast.Ident); isIdent {
			got = append(got, ident.Name)
		}
	}
	return ok && name.Name == function && slices.Equal(got, arguments)
}
