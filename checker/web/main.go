// Command web is the workshop as a page in the browser: the lessons' texts with a
// live verdict beside them, a lab for tokens, and a pad that sends requests to the
// learner's server.
//
//	go run ./checker/web                          http://127.0.0.1:8765
//	go run ./checker/web -addr 127.0.0.1:9000
//
// It listens on the loopback only and loads nothing from elsewhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"jwtworkshop/checker/workbook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, ".", os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(2)
	}
}

// run serves the page for the checkout that the folder lies in until ctx ends.
// Errors are of one line.
func run(ctx context.Context, folder string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8765", "listen on `host:port` of this machine")
	if err := flags.Parse(args); err != nil {
		return err
	}
	book, err := workbook.Open(folder)
	if err != nil {
		return err
	}
	l, err := listen(*addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The workshop is at http://%s, for this machine alone. Ctrl-C ends it.\n", l.Addr())
	return serve(ctx, book, l)
}

// serve serves the page on the listener until ctx ends.
func serve(ctx context.Context, book *workbook.Workbook, l net.Listener) error {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	s, err := newSite(book)
	if err != nil {
		return err
	}
	defer s.Close()
	web := &http.Server{
		Handler:           guard(port, s.handler()),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // open pages end with it
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	web.Shutdown(grace) // whoever has not gone by then is cut off
	return nil
}
