package hostile

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsLeftInASandboxIsFound(t *testing.T) {
	folder, err := os.MkdirTemp("", "left-")
	require.NoError(t, err)
	defer os.RemoveAll(folder)
	inside := filepath.Join(folder, "inside")
	require.NoError(t, os.Mkdir(inside, 0o755))
	// bwrap itself names the folder; what it runs does not.
	cmd := exec.Command("bwrap", "--ro-bind", "/", "/", "--bind", inside, "/mnt", "--unshare-pid", "--die-with-parent", "/bin/sh", "-c", "echo; exec cat")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	var names []string
	for _, pid := range remains(folder) {
		name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		require.NoError(t, err)
		names = append(names, string(name))
	}
	assert.Contains(t, names, "cat\n")
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
	assert.Empty(t, remains(folder))
}
