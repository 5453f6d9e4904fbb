package build

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// isQuiet tells whether a package does nothing before main that others could notice:
// it has no init function, and its variables begin as values, as what a pure function
// returns, or as the lessons' own do. Nothing goes by a name alone: a submission may
// call its own functions as it likes.
func isQuiet(files []*ast.File) bool {
	shadowed := false
	for _, file := range files {
		for _, d := range file.Decls {
			for _, name := range declares(d) {
				shadowed = shadowed || slices.Contains(builtin, name)
			}
		}
	}
	return !shadowed && !slices.ContainsFunc(files, func(file *ast.File) bool { return !quietFile(file) })
}

// declares are the names that a declaration adds to its package.
func declares(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// major ends the path of a module's packages from its second major version on.
var major = regexp.MustCompile(`/v[0-9]+$`)

func quietFile(file *ast.File) bool {
	in := imported{}
	for _, i := range file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(major.ReplaceAllString(p, ""))
		if i.Name != nil {
			name = i.Name.Name
		}
		in[name] = p
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			return false
		}
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				if slices.ContainsFunc(s.(*ast.ValueSpec).Values, func(value ast.Expr) bool { return !in.quiet(value) }) {
					return false
				}
			}
		}
	}
	return true
}

// pure are functions that leave no trace and call nothing that they are given, by the
// paths of their packages; those of fmt call methods, and may only be given literals.
var pure = map[string][]string{
	"errors": {"New"}, "fmt": {"Errorf", "Sprintf"}, "regexp": {"MustCompile"}, "strings": {"NewReplacer", "Repeat", "Split"},
	"time": {"Duration", "Date", "Unix"}, "math/big": {"NewInt"}, "sync": {"NewCond", "OnceFunc"}, "crypto/sha256": {"Sum256"}, "crypto/rand": {"Text"},
	"net/http": {"NewServeMux"}, "html/template": {"Must", "New"}, "text/template": {"Must", "New"}, "log/slog": {"New"}, "encoding/base64": {"NewEncoding"}, "encoding/json": {"RawMessage"},
}

// builtin are those of the language, and conversions.
var builtin = []string{"make", "new", "len", "cap", "append", "min", "max", "string", "byte", "rune", "int", "int64", "uint64", "float64", "error"}

// validation is what the lessons' own variable begins as, and what it imports.
const validation = `func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	return v
}()`

var ofValidation = imported{"validator": "github.com/go-playground/validator/v10", "reflect": "reflect", "strings": "strings"}

// imported are the packages that a file imports, by the names that it has for them.
type imported map[string]string

// quiet tells whether a variable can begin as a value without a trace.
func (in imported) quiet(value ast.Expr) bool {
	quiet := true
	ast.Inspect(value, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // nobody calls it yet
		case *ast.UnaryExpr:
			quiet = quiet && n.Op != token.ARROW
		case *ast.SliceExpr: // append could write to another package's
			quiet = false
		case *ast.CallExpr:
			quiet = quiet && (in.pure(n) || in.validates(n))
		}
		return quiet
	})
	return quiet
}

func (in imported) pure(call *ast.CallExpr) bool {
	switch called := call.Fun.(type) {
	case *ast.ArrayType, *ast.MapType:
		return true
	case *ast.Ident:
		return slices.Contains(builtin, called.Name)
	case *ast.SelectorExpr:
		if before, ok := called.X.(*ast.CallExpr); ok { // a method of a template, on what made it
			return slices.Contains([]string{"Parse", "Funcs", "Option", "Delims"}, called.Sel.Name) && in.makesTemplate(before)
		}
		from, ok := called.X.(*ast.Ident)
		if !ok || !slices.Contains(pure[in[from.Name]], called.Sel.Name) {
			return false
		}
		return in[from.Name] != "fmt" || !slices.ContainsFunc(call.Args, func(arg ast.Expr) bool { _, literal := arg.(*ast.BasicLit); return !literal })
	}
	return false
}

// makesTemplate tells whether a call is template.New, or one of a template's methods.
func (in imported) makesTemplate(call *ast.CallExpr) bool {
	called, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	if from, ok := called.X.(*ast.Ident); ok {
		return called.Sel.Name == "New" && strings.HasSuffix(in[from.Name], "/template") && pure[in[from.Name]] != nil
	}
	return in.pure(call)
}

// validates tells whether a call is the lessons' own.
func (in imported) validates(call *ast.CallExpr) bool {
	for name, path := range ofValidation {
		if in[name] != path {
			return false
		}
	}
	own, err := parser.ParseExpr(validation)
	return err == nil && spell(call) == spell(own)
}

// spell is an expression in one spelling, wherever its lines end.
func spell(e ast.Expr) string {
	var text strings.Builder
	if err := format.Node(&text, token.NewFileSet(), e); err != nil {
		return err.Error()
	}
	return text.String()
}
