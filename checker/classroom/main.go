// Command classroom is the teacher's: it grades a folder of submissions, each in a
// sandbox, and writes a gradebook.
//
//	go run ./checker/classroom grade submissions --out graded
//	go run ./checker/classroom selftest
//	go run ./checker/classroom --help
//
// It exits with 0 where all is graded, with 1 where something could not be graded or
// a check failed, and with 2 where nothing was done.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Grade    gradeCommand    `cmd:"" help:"Grade a folder of submissions and write the gradebook."`
	Worker   workerCommand   `cmd:"" help:"Grade what a grader elsewhere puts into a NATS server, until interrupted."`
	Regrade  regradeCommand  `cmd:"" help:"Grade all of it once more and show what would change."`
	Verify   verifyCommand   `cmd:"" help:"Derive the grades of a ledger again."`
	Selftest selftestCommand `cmd:"" help:"Grade submissions that cheat and break out, on this machine, and see that none gets anywhere."`
}

// desk is what every command works with.
type desk struct {
	ctx      context.Context
	out, err io.Writer
}

// exit is an exit code for which everything has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	debug.SetGCPercent(400) // most of what it allocates is gone with the step
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	code := -1
	parser, err := kong.New(&commands{},
		kong.Name("classroom"),
		kong.Description("Grades a whole class, each submission in a sandbox."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code = c }),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help was printed
	}
	if err == nil {
		err = parsed.Run(&desk{ctx: ctx, out: stdout, err: stderr})
	}
	var done exit
	switch {
	case errors.As(err, &done):
		return int(done)
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "interrupted; the same command goes on where it was")
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "classroom:", err)
		return 2
	}
	return 0
}
