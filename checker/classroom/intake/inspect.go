package intake

import (
	"bytes"
	"go/parser"
	"go/scanner"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// inspect says why Go files are refused: they would be more than Go. A file that
// does not parse is the compiler's to complain about, one that is ours may do what
// it likes.
func inspect(files, ours map[string][]byte) []string {
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		if bytes.Equal(text, ours[name]) {
			continue
		}
		if bytes.IndexByte(text, 0) >= 0 {
			reasons = append(reasons, name+" is no text")
			continue
		}
		parsed, _ := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if parsed != nil {
			for _, imported := range parsed.Imports {
				path, _ := strconv.Unquote(imported.Path.Value)
				if reason, refused := refusedImports[path]; refused {
					reasons = append(reasons, name+" imports "+strconv.Quote(path)+": "+reason)
				}
			}
		}
		for _, directive := range directives(text) {
			reasons = append(reasons, name+" has "+directive+": directives to the tools are not for a submission")
		}
	}
	return slices.Compact(reasons)
}

var refusedImports = map[string]string{
	"C":      "there is no C here",
	"unsafe": "no lesson needs it, and it can change what the grader is told",
	"plugin": "there is nothing to load",
}

// refusedDirectives change what is linked, which file an error is said to be in,
// what goes into the program, or how the runtime behaves.
var refusedDirectives = []string{"//go:linkname", "//go:debug", "//go:embed", "//go:cgo_", "//go:wasm", "//line ", "/*line "}

// directives are those of the refused ones that stand in the comments of a file,
// each once.
func directives(text []byte) []string {
	var there []string
	set := token.NewFileSet()
	var s scanner.Scanner
	s.Init(set.AddFile("", -1, len(text)), text, func(token.Position, string) {}, scanner.ScanComments)
	for {
		_, kind, literal := s.Scan()
		if kind == token.EOF {
			return there
		}
		if kind != token.COMMENT {
			continue
		}
		for _, d := range refusedDirectives {
			if strings.HasPrefix(literal, d) && !slices.Contains(there, strings.TrimSpace(d)) {
				there = append(there, strings.TrimSpace(d))
			}
		}
	}
}
