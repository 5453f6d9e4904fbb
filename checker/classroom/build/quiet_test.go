package build

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/lessons"
)

// A lesson that does something before main has a program of its own: it could meddle
// with the student's other lessons.
func TestQuietIsWhatDoesNothingBeforeMain(t *testing.T) {
	for source, quiet := range map[string]bool{
		`var a = 1`: true,
		`import "errors"; var err = errors.New("x")`:                                                                              true,
		`import "html/template"; var page = template.Must(template.New("").Parse("<p>"))`:                                         true,
		`import "text/template"; var page = template.Must(template.New("").Funcs(template.FuncMap{"f": func() {}}).Parse("<p>"))`: true,
		`import "os"; var f = func() { os.Exit(1) }`:                                                                              true,
		`import "os"; var a = func() int { os.Exit(1); return 1 }()`:                                                              false,
		`import "html/template"; var page = template.Must(template.New("").ParseFiles("/etc/passwd"))`:                            false,
		`import "html/template"; var page = template.Must(other().Parse("<p>"))`:                                                  false,
		`import "html/template"; var page = template.New(change()).Parse("<p>")`:                                                  false,
		`var page = mine.New("").Parse("<p>")`:                                                                                    false,
		`import "net/http"; var c = <-http.DefaultClient`:                                                                         false,
		`func init() {}`:                                                         false,
		`func (t T) init() {}`:                                                   true,
		`var errors mine; var err = errors.New("x")`:                             false,
		`import errors "example.com/mine"; var err = errors.New("x")`:            false,
		`import mine "errors"; var err = mine.New("x")`:                          true,
		`func new(string) int { return 0 }; var a = new("x")`:                    false,
		`type string mine; var a = string(1)`:                                    false,
		`import "fmt"; var a = fmt.Sprintf("%d", 1)`:                             true,
		`import "fmt"; var a = fmt.Sprintf("%v", evil{})`:                        false,
		`import "unicode"; var a = append(unicode.L.R16[:0], unicode.Range16{})`: false,
		`import "github.com/go-playground/validator/v10"; import "reflect"; import "strings"; var validate = ` + validation: true,
		`import "example.com/validator"; import "reflect"; import "strings"; var validate = ` + validation:                  false,
		`import "github.com/go-playground/validator/v10"; import "strings"; var reflect mine; var validate = ` + validation: false,
		`import "github.com/go-playground/validator/v10"; var v = validator.New(evil)`:                                      false,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package main\n"+source, 0)
		require.NoError(t, err, source)
		assert.Equal(t, quiet, isQuiet([]*ast.File{file}), source)
	}
	one, err := parser.ParseFile(token.NewFileSet(), "x.go", "package main\nvar a = len(\"x\")", 0)
	require.NoError(t, err)
	other, err := parser.ParseFile(token.NewFileSet(), "y.go", "package main\nfunc len(string) int { return 0 }", 0)
	require.NoError(t, err)
	assert.True(t, isQuiet([]*ast.File{one}))
	assert.False(t, isQuiet([]*ast.File{one, other}), "another file of the package says what len is")
}

// Each that is not costs a link more.
func TestTheSolutionsAreQuiet(t *testing.T) {
	for _, l := range lessons.All() {
		names, err := filepath.Glob(filepath.Join("..", "..", "..", "solutions", l.ID, "*.go"))
		require.NoError(t, err)
		var files []*ast.File
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			files = append(files, file)
		}
		assert.True(t, isQuiet(files), l.ID)
	}
}
