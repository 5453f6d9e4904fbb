package build

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What a submission imports becomes an argument of the go command, for which more than
// one package goes by a word or a pattern (go help packages).
func TestTheGoCommandIsAskedForOnePackageAtATime(t *testing.T) {
	for path, one := range map[string]bool{
		"net/http": true, "golang.org/x/sys/unix": true, "github.com/labstack/echo/v4": true, "a.b": true,
		"all": false, "std": false, "cmd": false, "tool": false, "work": false, "...": false, "net/...": false, "jwtworkshop...": false, "x...y": false,
		"main.go": false, "checker/classroom/main.go": false, "-toolexec=x": false, "./lessons": false, "../x": false, "/etc": false, "x@latest": false, "": false, "a//b": false, "a b": false,
	} {
		assert.Equal(t, one, literal(path), path)
	}
}
