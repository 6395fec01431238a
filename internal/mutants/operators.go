package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"regexp"
	"strings"
)

// A change is one mutant that was made by rule: some bytes of one file are others. file,
// function and text (and number, where one function has the same text more than once)
// name it whatever else in the file changes.
type change struct {
	file     string
	function string
	text     string // "old => new"
	number   int    // 1 for the first of this text in the function
	line     int
	runs     int // the line in a profile: for a case, that of its switch
	from, to int // offsets of what is replaced
	new      string
	unit     unit
}

// A unit is the part of the source that can be had in both forms, the old and the changed
// one, with a switch between them: see build.go.
type unit struct {
	kind     unitKind
	from, to int
	assigned string // of a definition: the names before :=, and
	at       int    // where its right side begins
}

type unitKind int

const (
	noUnit unitKind = iota
	condition
	statement
	definition
)

// key names the change in equivalent.txt and in the draw.
func (c change) key() string {
	return fmt.Sprintf("%s | %s | %s | %d", c.file, c.function, c.text, c.number)
}

func (c change) apply(source []byte) []byte {
	out := bytes.Clone(source[:c.from])
	out = append(out, c.new...)
	return append(out, source[c.to:]...)
}

// The replacements of operators. Several for one are several mutants.
var (
	comparisons = map[token.Token][]token.Token{
		token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
		token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
		token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
		token.LAND: {token.LOR}, token.LOR: {token.LAND},
	}
	arithmetic = map[token.Token][]token.Token{
		token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},
		token.SHL: {token.SHR}, token.SHR: {token.SHL}, token.AND: {token.OR}, token.OR: {token.AND}, token.XOR: {token.AND}, token.AND_NOT: {token.AND},
	}
	assignments = map[token.Token]token.Token{
		token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN, token.MUL_ASSIGN: token.QUO_ASSIGN,
		token.SHL_ASSIGN: token.SHR_ASSIGN, token.SHR_ASSIGN: token.SHL_ASSIGN,
		token.AND_ASSIGN: token.OR_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN, token.XOR_ASSIGN: token.OR_ASSIGN,
	}
)

// changes returns every change of one file, in order:
//
//   - a comparison with the boundary on its other side, or negated; && for || and back
//   - a condition that is no comparison, negated
//   - another arithmetic operator, also in an assignment; ++ for -- and back
//   - an error that is not returned
//   - a statement that is gone: a call such as clear or Wipe, a defer, an assignment to a
//     field or an element. A call of panic stays: what cannot happen needs no test
func changes(name string, source []byte) ([]change, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var out []change
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		m := maker{stack: []ast.Node{f}, fset: fset, source: source, file: name, function: functionName(f), seen: map[string]int{}}
		m.body(f.Body, returnsError(f.Type))
		out = append(out, m.out...)
	}
	return out, nil
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	var b bytes.Buffer
	printer.Fprint(&b, token.NewFileSet(), f.Recv.List[0].Type)
	return strings.TrimPrefix(b.String(), "*") + "." + f.Name.Name
}

func returnsError(t *ast.FuncType) bool {
	if t.Results == nil || len(t.Results.List) == 0 {
		return false
	}
	id, ok := t.Results.List[len(t.Results.List)-1].Type.(*ast.Ident)
	return ok && id.Name == "error"
}

type maker struct {
	stack    []ast.Node
	fset     *token.FileSet
	source   []byte
	file     string
	function string
	seen     map[string]int
	out      []change
}

func (m *maker) body(body *ast.BlockStmt, returnsErr bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		if n == nil {
			m.stack = m.stack[:len(m.stack)-1]
			return true
		}
		m.stack = append(m.stack, n)
		switch n := n.(type) {
		case *ast.FuncLit:
			m.body(n.Body, returnsError(n.Type))
			m.stack = m.stack[:len(m.stack)-1]
			return false
		case *ast.BinaryExpr:
			for _, list := range []map[token.Token][]token.Token{comparisons, arithmetic} {
				for _, op := range list[n.Op] {
					m.operator(n, n.OpPos, n.Op, op)
				}
			}
		case *ast.IfStmt:
			m.negate(n.Cond)
		case *ast.ForStmt:
			m.negate(n.Cond)
		case *ast.IncDecStmt:
			op := token.INC
			if n.Tok == token.INC {
				op = token.DEC
			}
			m.operator(n, n.TokPos, n.Tok, op)
		case *ast.AssignStmt:
			if op, ok := assignments[n.Tok]; ok {
				m.operator(n, n.TokPos, n.Tok, op)
			}
			if n.Tok == token.ASSIGN && len(n.Lhs) == 1 && len(n.Rhs) == 1 {
				switch n.Lhs[0].(type) {
				case *ast.SelectorExpr, *ast.IndexExpr, *ast.StarExpr:
					m.replace(n, n, "_ = "+m.text(n.Rhs[0]))
				}
			}
		case *ast.ReturnStmt:
			if returnsErr && len(n.Results) > 0 {
				last := n.Results[len(n.Results)-1]
				if id, ok := last.(*ast.Ident); !ok || id.Name != "nil" {
					if _, call := last.(*ast.CallExpr); len(n.Results) > 1 || !call || makesError.MatchString(m.text(last)) {
						m.replace(n, last, "nil")
					}
				}
			}
		case *ast.ExprStmt:
			if call, ok := n.X.(*ast.CallExpr); ok {
				m.remove(n, call)
			}
		case *ast.DeferStmt:
			m.remove(n, n.Call)
		}
		return true
	})
}

// makesError tells the calls that make an error from those whose result may be one.
var makesError = regexp.MustCompile(`^(fmt\.Errorf|errors\.New)\(`)

// negate negates what is no comparison.
func (m *maker) negate(cond ast.Expr) {
	switch c := cond.(type) {
	case nil, *ast.BinaryExpr:
	case *ast.UnaryExpr:
		if c.Op == token.NOT {
			m.replace(cond, cond, m.text(c.X))
		}
	default:
		m.replace(cond, cond, "!"+m.text(cond))
	}
}

// remove leaves only what keeps names and imports in use.
func (m *maker) remove(statement ast.Stmt, call *ast.CallExpr) {
	var uses []string
	switch f := call.Fun.(type) {
	case *ast.FuncLit:
		return // its statements are removed one by one
	case *ast.Ident:
		switch f.Name {
		case "panic":
			return
		case "clear", "copy", "close", "delete", "print", "println":
		default:
			uses = append(uses, f.Name)
		}
	case *ast.SelectorExpr:
		uses = append(uses, m.text(f))
	default:
		return
	}
	for _, a := range call.Args {
		if id, ok := a.(*ast.Ident); ok && id.Name != "nil" {
			uses = append(uses, id.Name)
		}
	}
	with := ""
	if len(uses) > 0 {
		with = strings.Repeat("_, ", len(uses)-1) + "_ = " + strings.Join(uses, ", ")
	}
	m.replace(statement, statement, with)
}

func (m *maker) operator(whole ast.Node, at token.Pos, old, new token.Token) {
	from := m.fset.Position(at).Offset
	// Of a chain, a || b || c, only the operands on both sides are shown.
	if b, ok := whole.(*ast.BinaryExpr); ok {
		if x, ok := b.X.(*ast.BinaryExpr); ok && x.Op.Precedence() == b.Op.Precedence() {
			whole = &ast.BinaryExpr{X: x.Y, OpPos: b.OpPos, Op: b.Op, Y: b.Y}
		}
	}
	m.add(whole, from, from+len(old.String()), new.String())
}

// replace changes one part of a larger whole, which is shown.
func (m *maker) replace(whole, part ast.Node, with string) {
	m.add(whole, m.fset.Position(part.Pos()).Offset, m.fset.Position(part.End()).Offset, with)
}

func (m *maker) add(whole ast.Node, from, to int, with string) {
	start, end := m.fset.Position(whole.Pos()).Offset, m.fset.Position(whole.End()).Offset
	old := string(m.source[start:end])
	new := string(m.source[start:from]) + with + string(m.source[to:end])
	if new == "" {
		new = "nothing"
	}
	text := strings.Join(strings.Fields(old), " ") + " => " + strings.Join(strings.Fields(new), " ")
	m.seen[text]++
	m.out = append(m.out, change{
		file: m.file, function: m.function, text: text, number: m.seen[text],
		line: m.fset.File(whole.Pos()).Line(m.fset.File(whole.Pos()).Pos(from)), from: from, to: to, new: with,
		unit: m.unit(from, to),
	})
	c := &m.out[len(m.out)-1]
	c.runs = c.line
	for i := len(m.stack) - 1; i >= 2; i-- {
		if clause, ok := m.stack[i].(*ast.CaseClause); ok {
			if from < m.fset.Position(clause.Colon).Offset {
				c.runs = m.fset.Position(m.stack[i-2].Pos()).Line // of the switch
			}
			break
		}
	}
}

// unit finds the smallest part around [from, to) that can be switched.
func (m *maker) unit(from, to int) unit {
	offset := func(p token.Pos) int { return m.fset.Position(p).Offset }
	for i := len(m.stack) - 1; i > 0; i-- {
		n, parent := m.stack[i], m.stack[i-1]
		u := unit{from: offset(n.Pos()), to: offset(n.End())}
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if comparisons[n.Op] != nil && u.from <= from && to <= u.to {
				u.kind = condition
				return u
			}
		case *ast.IfStmt:
			if c := n.Cond; offset(c.Pos()) <= from && to <= offset(c.End()) {
				return unit{kind: condition, from: offset(c.Pos()), to: offset(c.End())}
			}
		case *ast.ForStmt:
			if c := n.Cond; c != nil && offset(c.Pos()) <= from && to <= offset(c.End()) {
				return unit{kind: condition, from: offset(c.Pos()), to: offset(c.End())}
			}
		}
		switch parent.(type) {
		case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
		default:
			continue
		}
		switch n := n.(type) {
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.ReturnStmt, *ast.DeferStmt, *ast.GoStmt:
			u.kind = statement
			return u
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				u.kind = statement
				return u
			}
			if len(n.Rhs) == len(n.Lhs) && offset(n.Rhs[0].Pos()) <= from && !hasEffects(n.Rhs) {
				u.kind, u.at = definition, offset(n.Rhs[0].Pos())
				u.assigned = string(m.source[u.from:offset(n.Lhs[len(n.Lhs)-1].End())])
				return u
			}
		}
	}
	return unit{}
}

// pure are the functions that may be called once more.
var pure = map[string]bool{
	"len": true, "cap": true, "min": true, "max": true, "int": true, "uint": true, "int32": true, "int64": true, "uint8": true,
	"uint16": true, "uint32": true, "uint64": true, "byte": true, "string": true, "float64": true,
}

func hasEffects(list []ast.Expr) bool {
	found := false
	for _, e := range list {
		ast.Inspect(e, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				id, ok := n.Fun.(*ast.Ident)
				found = found || !ok || !pure[id.Name]
			case *ast.FuncLit:
				found = true
			case *ast.UnaryExpr:
				found = found || n.Op == token.ARROW
			}
			return true
		})
	}
	return found
}

func (m *maker) text(n ast.Node) string {
	return string(m.source[m.fset.Position(n.Pos()).Offset:m.fset.Position(n.End()).Offset])
}
