package report

import (
	"fmt"
	"regexp"
	"strings"

	"jwtworkshop/checker/subject"
)

// compilerLine is "lessons/05-refresh/token.go:12:3: undefined: x".
var compilerLine = regexp.MustCompile(`^(.+\.go):(\d+)(?::(\d+))?: (.*)$`)

// CompilerErrors turns what the compiler said into blocks of lines: where and
// what, the line of code, and a mark under the column. What is no error of the
// code's stands as it is.
func CompilerErrors(e *subject.BuildError) []string {
	var blocks []string
	for line := range strings.Lines(e.Output) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		m := compilerLine.FindStringSubmatch(line)
		if m == nil {
			blocks = append(blocks, line)
			continue
		}
		block := fmt.Sprintf("%s:%s: %s", slashed(m[1]), m[2], m[4])
		if code := subject.Line(e.Root, m[1], m[2]); strings.TrimSpace(code) != "" {
			column := atoi(m[3])
			before := code[:min(len(code), max(0, column-1))]
			trimmed := strings.TrimLeft(code, " \t")
			mark := len(before) - (len(code) - len(trimmed))
			block += "\n    " + trimmed
			if column > 0 && mark >= 0 {
				block += "\n    " + strings.Repeat(" ", mark) + "^"
			}
		}
		blocks = append(blocks, block)
	}
	return blocks
}
