package build

import (
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A lesson that does something before main has a program of its own: it could meddle
// with the student's other lessons.
func TestQuietIsWhatDoesNothingBeforeMain(t *testing.T) {
	for source, quiet := range map[string]bool{
		`var a = 1`:                 true,
		`var err = errors.New("x")`: true,
		`var page = template.Must(template.New("").Parse("<p>"))`:                                         true,
		`var page = template.Must(template.New("").Funcs(template.FuncMap{"f": func() {}}).Parse("<p>"))`: true,
		`var f = func() { os.Exit(1) }`:                                                                   true,
		`var a = func() int { os.Exit(1); return 1 }()`:                                                   false,
		`var page = template.Must(template.New("").ParseFiles("/etc/passwd"))`:                            false,
		`var page = template.Must(other().Parse("<p>"))`:                                                  false,
		`var page = mine.New("").Parse("<p>")`:                                                            false,
		`var page = template.New(change()).Parse("<p>")`:                                                  false,
		`var c = <-http.DefaultClient`:                                                                    false,
		`func init() {}`:                                                                                  false,
		`func (t T) init() {}`:                                                                            true,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package main\n"+source, 0)
		require.NoError(t, err, source)
		assert.Equal(t, quiet, isQuiet(file), source)
	}
}
