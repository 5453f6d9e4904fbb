package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// kill grades a class in peace, and once more with a queue whose grader, worker or
// server is killed at random moments and started again, and compares the grades.
func (d *drill) kill(n, kills int) error {
	class, err := d.class("class", n)
	if err != nil {
		return err
	}
	peace := filepath.Join(d.dir, "peace")
	calm, err := d.run(d.grading(class, peace))
	if err != nil {
		return err
	}
	fmt.Printf("in peace: %d students in %.1f s\n", n, calm.wall.Seconds())

	nats := filepath.Join(d.dir, "nats-server")
	if err := d.build("github.com/nats-io/nats-server/v2", nats); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	settings := filepath.Join(d.dir, "nats.conf")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "listen: 127.0.0.1:%d\njetstream { store_dir: %q, sync_interval: always }\n", port, filepath.Join(d.dir, "nats")), 0o644); err != nil {
		return err
	}
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	war := filepath.Join(d.dir, "war")
	parts := []*part{
		{name: "queue", command: func() *exec.Cmd { return exec.Command(nats, "-c", settings) }},
		{name: "worker", command: func() *exec.Cmd {
			cmd := exec.Command(d.classroom, "worker", "--nats", url, "--selftest", "never")
			cmd.Dir = d.root
			return cmd
		}},
		{name: "grader", command: func() *exec.Cmd { return d.grading(class, war, "--nats", url) }},
	}
	defer func() {
		for _, p := range parts {
			p.kill()
		}
	}()
	for _, p := range parts {
		if err := p.start(); err != nil {
			return err
		}
	}
	random := rand.New(rand.NewPCG(d.seed, 1))
	grader := parts[2]
	// The moments are spread so that they come while there is work.
	pause := calm.wall / time.Duration(max(1, kills)) * 2
	for i := range kills {
		select {
		case <-grader.ended:
			// Done already: it is asked again, from the beginning.
			os.RemoveAll(war)
			if err := grader.start(); err != nil {
				return err
			}
		case <-time.After(time.Duration(float64(pause) * (0.2 + random.Float64()))):
		case <-d.ctx.Done():
			return d.ctx.Err()
		}
		victim := parts[random.IntN(len(parts))]
		victim.kill()
		fmt.Printf("%2d  kill -9 %s\n", i+1, victim.name)
		if err := victim.start(); err != nil {
			return err
		}
	}
	select {
	case <-grader.ended:
	case <-time.After(10*calm.wall + 5*time.Minute):
		return errors.New("the grader does not come to an end\n" + grader.said.String())
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
	if code := grader.cmd.ProcessState.ExitCode(); code > 1 {
		return fmt.Errorf("the grader ended with %d\n%s", code, grader.said.String())
	}
	want, err := grades(peace)
	if err != nil {
		return err
	}
	got, err := grades(war)
	if err != nil {
		return err
	}
	wrong := 0
	for key, grade := range want {
		if got[key] != grade {
			wrong++
			fmt.Printf("%s: %s in peace, %s after %d kills\n", key, grade, got[key], kills)
		}
		delete(got, key)
	}
	for key := range got {
		wrong++
		fmt.Printf("%s: nobody handed that in\n", key)
	}
	fmt.Printf("\n%d kills, %d grades, %d of them lost, wrong or doubled\n", kills, len(want), wrong)
	if wrong > 0 {
		return errors.New("kills change grades")
	}
	return nil
}

// A part is a process that is killed and started again.
type part struct {
	name    string
	command func() *exec.Cmd
	cmd     *exec.Cmd
	said    *bytes.Buffer
	ended   chan struct{}
}

func (p *part) start() error {
	p.cmd, p.said, p.ended = p.command(), &bytes.Buffer{}, make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = io.Writer(p.said), io.Writer(p.said)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := p.cmd, p.ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	return nil
}

func (p *part) kill() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// grades are the grades of a gradebook, each with what became of its steps.
func grades(out string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(out, "gradebook.json"))
	if err != nil {
		return nil, err
	}
	var book struct {
		Students []struct {
			Student string
			Lessons []struct {
				Lesson, State, Why string
				Points             *float64
				Steps              []struct{ ID, Status string }
			}
		}
	}
	if err := json.Unmarshal(text, &book); err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, s := range book.Students {
		for _, l := range s.Lessons {
			grade := l.State
			if l.Points != nil {
				grade += fmt.Sprintf(" %v points", *l.Points)
			}
			var steps strings.Builder
			for _, step := range l.Steps {
				steps.WriteString(step.Status[:1])
			}
			key := s.Student + ", " + l.Lesson
			for all[key] != "" {
				key += " (again)"
			}
			all[key] = grade + " " + steps.String()
		}
	}
	return all, nil
}
