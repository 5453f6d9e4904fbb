package proof_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/subject"
	"jwtworkshop/checker/suites"
	"jwtworkshop/checker/upstream"
	"jwtworkshop/lessons"
)

// The texts of the lessons are held to three things: the template that they
// share, the steps that they are to teach, and the output of every command that
// they show.

// readmeSections are the headings of a lesson's README, in this order.
var readmeSections = []string{
	"The problem", "What you need", "Your task", "Run it", "You are done when", "Not yet", "Compare", "Further",
}

// maxTheory is how many words "What you need" may have.
const maxTheory = 250

func TestTextsKeepTheTemplate(t *testing.T) {
	t.Parallel()
	repository := os.DirFS(textsRoot(t))
	for _, l := range lessons.All() {
		t.Run(l.ID, func(t *testing.T) {
			t.Parallel()
			text, err := readLessonText(repository, l)
			require.NoError(t, err)
			for _, fault := range text.faults() {
				t.Error(fault)
			}
		})
	}
}

// A gate that is always open looks like one that nobody has run into. Each row
// spoils a good text in one place and names what is to be said of it.
func TestSpoiltTextsAreFound(t *testing.T) {
	t.Parallel()
	const folder = "lessons/05-refresh/"
	for _, spoilt := range []struct{ file, old, new, fault string }{
		{"README.md", "# 05 · Refresh\n", "# 5. Refresh\n", "begins with"},
		{"README.md", "\nAbout 35 minutes.", "\nAbout 50 minutes.", "About 35 minutes."},
		{"README.md", "\n## You are done when\n", "\n## Done\n", "sections are"},
		{"README.md", "- `login-returns-both-tokens`", "- `login-gives-both`", "login-gives-both is no step"},
		{"README.md", "- `login-returns-both-tokens`", "- both tokens", "login-returns-both-tokens is not listed"},
		{"README.md", "- `refresh-is-by-post-only`", "- `expired-token-is-refused`", "expired-token-is-refused is no step"},
		{"README.md", "\n- `refresh-is-by-post-only`", "\n\n## Your task\n\n- `refresh-is-by-post-only`", "sections are"},
		{"README.md", "<a id=\"task-2\"></a>\n", "", "task-2"},
		{"README.md", "### Task 2:", "### Task 4:", "Task 2"},
		{"README.md", "<a id=\"task-3\"></a>\n", "<a id=\"task-3\"></a>\n\n", "task-3"},
		{"README.md", "\n## Your task\n", strings.Repeat("\nword", 200) + "\n\n## Your task\n", "words"},
		{"README.md", "(lives.svg)", "(life.svg)", "life.svg"},
		{"README.md", "(lives.svg)", "(refresh.svg)", "lives.svg is in the folder and in no text"},
		{"README.md", "\n## Compare\n", "\nSee [it](../02-token/README.md).\n\n## Compare\n", "../02-token/README.md"},
		{"README.md", "\n## Compare\n", "\nSee [it](#task-9).\n\n## Compare\n", "#task-9"},
		{"README.md", "Edit `token.go` and `refresh.go`", "Edit `refresh.go`", "`token.go`"},
		{"README.md", "make check LESSON=05\n", "make check\n", "make check LESSON=05"},
		{"README.md", "<!-- server: 05-refresh -->\n", "", "no server"},
		{"README.md", "<!-- server: 05-refresh -->\n", "<!-- server: 05-refresh -->\n\n", "no server"},
		{"README.md", "<!-- server: 05-refresh -->\n", "<!-- server: 55-refresh -->\n", "55-refresh"},
		{"README.md", "$ sleep 3\n", "$ sleep 30\n", "sleep 30"},
		{"hints.md", "# Hints\n", "# Tips\n", "# Hints"},
		{"hints.md", "## refresh-is-by-post-only\n", "## post-only\n", "post-only is no step"},
		{"hints.md", "## refresh-is-by-post-only\n", "## post-only\n", "no hints for refresh-is-by-post-only"},
		{"hints.md", "\n## refresh-is-by-post-only\n", "\n4. One more.\n\n## refresh-is-by-post-only\n", "three numbered hints"},
		{"hints.md", "\n2. RFC 9110", "\nRFC 9110", "three numbered hints"},
		{"hints.md", "\n2. RFC 9110", "\n```go\nx()\n```\n2. RFC 9110", "code"},
		{"lives.svg", "<title", "<name", "XML"},
		{"lives.svg", "</desc>", "</desc><g>", "XML"},
		{"lives.svg", "viewBox=", "viewbox=", "viewBox"},
		{"lives.svg", "desc>", "metadata>", "<desc>"},
	} {
		t.Run(spoilt.fault, func(t *testing.T) {
			t.Parallel()
			l, err := lessons.Find("05-refresh")
			require.NoError(t, err)
			files := copyOf(t, os.DirFS(textsRoot(t)), folder)
			good, err := readLessonText(files, l)
			require.NoError(t, err)
			require.Empty(t, good.faults(), "the text is good before it is spoilt")

			was := string(files[folder+spoilt.file].Data)
			require.Contains(t, was, spoilt.old, "there is nothing to spoil")
			files[folder+spoilt.file].Data = []byte(strings.Replace(was, spoilt.old, spoilt.new, 1))
			if spoilt.fault == "<desc>" {
				files[folder+spoilt.file].Data = []byte(strings.ReplaceAll(was, spoilt.old, spoilt.new))
			}
			bad, err := readLessonText(files, l)
			require.NoError(t, err)
			assert.Contains(t, strings.Join(bad.faults(), "\n"), spoilt.fault)
		})
	}
}

func copyOf(t *testing.T, from fs.FS, folder string) fstest.MapFS {
	t.Helper()
	entries, err := fs.ReadDir(from, path.Clean(folder))
	require.NoError(t, err)
	files := fstest.MapFS{}
	for _, e := range entries {
		data, err := fs.ReadFile(from, folder+e.Name())
		require.NoError(t, err)
		files[folder+e.Name()] = &fstest.MapFile{Data: data}
	}
	return files
}

func textsRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	return root
}

// A lessonText is what a lesson tells its reader, and what it has to tell.
type lessonText struct {
	lesson     lessons.Lesson
	steps      []grade.Step
	repository fs.FS
	readme     string
	hints      string
	prose      string // the README without fenced blocks and comments
}

func readLessonText(repository fs.FS, l lessons.Lesson) (lessonText, error) {
	x := lessonText{lesson: l, steps: suites.Own(l), repository: repository}
	for name, into := range map[string]*string{"README.md": &x.readme, "hints.md": &x.hints} {
		raw, err := fs.ReadFile(repository, path.Join("lessons", l.ID, name))
		if err != nil {
			return x, err
		}
		*into = strings.ReplaceAll(string(raw), "\r\n", "\n")
	}
	x.prose = fencedBlock.ReplaceAllString(x.readme, "")
	x.prose = htmlComment.ReplaceAllString(x.prose, "")
	return x, nil
}

var (
	fencedBlock = regexp.MustCompile("(?ms)^```.*?^```$\n?")
	htmlComment = regexp.MustCompile(`(?s)<!--.*?-->`)
	heading     = regexp.MustCompile(`(?m)^## (.+)$`)
	taskHeading = regexp.MustCompile(`(?m)^### Task (\d+): \S.*$`)
	anchored    = regexp.MustCompile(`(?m)^<a id="task-(\d+)"></a>\n### Task (\d+):`)
	listedStep  = regexp.MustCompile("(?m)^- `([a-z0-9]+(?:-[a-z0-9]+)+)`")
	image       = regexp.MustCompile(`!\[([^\]]*)\]\(([^)]+)\)`)
	link        = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	numbered    = regexp.MustCompile(`(?m)^(\d+)\. \S`)
)

// section is the README from that heading to the next of its kind, "" where
// there is none.
func section(markdown, title string) string {
	_, after, found := strings.Cut("\n"+markdown, "\n## "+title+"\n")
	if !found {
		return ""
	}
	before, _, _ := strings.Cut(after, "\n## ")
	return before
}

func firsts(found [][]string) []string {
	var list []string
	for _, f := range found {
		list = append(list, f[1])
	}
	return list
}

// faults says in sentences what is wrong with the texts; nil is nothing.
func (x lessonText) faults() []string {
	return slices.Concat(x.frameFaults(), x.stepFaults(), x.taskFaults(), x.commandFaults(),
		x.pictureFaults(), x.linkFaults(), x.hintFaults(), x.consoleFaults())
}

// number is how a lesson's number is written: "05".
func (x lessonText) number() string { return x.lesson.ID[:2] }

func (x lessonText) frameFaults() (faults []string) {
	title := fmt.Sprintf("# %s · %s\n", x.number(), x.lesson.Title)
	if !strings.HasPrefix(x.readme, title) {
		faults = append(faults, fmt.Sprintf("the README begins with another line than %q", title))
	}
	opening, _, _ := strings.Cut(x.readme, "\n## ")
	if minutes := fmt.Sprintf("About %d minutes.", x.lesson.Minutes); !strings.Contains(opening, minutes) {
		faults = append(faults, fmt.Sprintf("the opening does not say %q", minutes))
	}
	if got := firsts(heading.FindAllStringSubmatch(x.prose, -1)); !slices.Equal(got, readmeSections) {
		faults = append(faults, fmt.Sprintf("the sections are %q, wanted are %q", got, readmeSections))
	}
	// The text for those who cannot see the picture is not in the way of those who can.
	theory := image.ReplaceAllString(section(x.prose, "What you need"), "")
	if n := len(strings.Fields(theory)); n > maxTheory || n == 0 {
		faults = append(faults, fmt.Sprintf(`"What you need" has %d words, at most %d are wanted`, n, maxTheory))
	}
	return faults
}

// stepFaults wants each step listed under the task that asks for it, and no
// other lesson's step listed at all.
func (x lessonText) stepFaults() (faults []string) {
	own := map[string]bool{}
	for _, s := range x.steps {
		own[s.ID] = true
		if !slices.Contains(firsts(listedStep.FindAllStringSubmatch(x.task(s.Task), -1)), s.ID) {
			faults = append(faults, fmt.Sprintf("%s is not listed under Task %d", s.ID, s.Task))
		}
	}
	listed := firsts(listedStep.FindAllStringSubmatch(x.prose, -1))
	for i, id := range listed {
		if !own[id] {
			faults = append(faults, fmt.Sprintf("%s is no step of this lesson", id))
		}
		if slices.Contains(listed[:i], id) {
			faults = append(faults, fmt.Sprintf("%s is listed twice", id))
		}
	}
	return faults
}

// task is the text of one task, "" where there is none.
func (x lessonText) task(n int) string {
	_, after, _ := strings.Cut(section(x.prose, "Your task"), fmt.Sprintf("\n### Task %d:", n))
	before, _, _ := strings.Cut(after, "\n### ")
	return before
}

// taskFaults wants a heading and an anchor for each task that a step belongs to,
// counted from 1, and no further one.
func (x lessonText) taskFaults() (faults []string) {
	last := 0
	for _, s := range x.steps {
		last = max(last, s.Task)
	}
	var want []string
	for n := range last {
		want = append(want, strconv.Itoa(n+1))
	}
	tasks := section(x.prose, "Your task")
	if got := firsts(taskHeading.FindAllStringSubmatch(tasks, -1)); !slices.Equal(got, want) {
		faults = append(faults, fmt.Sprintf("the headings are Task %q, wanted is Task %q", got, want))
	}
	var anchors []string
	for _, a := range anchored.FindAllStringSubmatch(tasks, -1) {
		if a[1] == a[2] {
			anchors = append(anchors, a[1])
		}
	}
	for _, n := range want {
		if !slices.Contains(anchors, n) {
			faults = append(faults, fmt.Sprintf(`directly above "### Task %s" there is no <a id="task-%[1]s"></a>`, n))
		}
	}
	return faults
}

// commandFaults wants the commands that a learner needs, and the files to edit.
func (x lessonText) commandFaults() (faults []string) {
	type mention struct{ section, text string }
	wanted := []mention{
		{"Run it", "make check LESSON=" + x.number()},
		{"Run it", "go run ./checker check " + x.number()},
		{"Run it", "make run LESSON=" + x.number()},
		{"Run it", "make hint LESSON=" + x.number()},
		{"Run it", "go test ./lessons/" + x.lesson.ID},
		{"Compare", "make diff LESSON=" + x.number()},
		{"Compare", "solutions/" + x.lesson.ID},
	}
	for _, file := range x.lesson.Edit {
		wanted = append(wanted, mention{"Your task", "`" + file + "`"})
	}
	for _, w := range wanted {
		if !strings.Contains(section(x.readme, w.section), w.text) {
			faults = append(faults, fmt.Sprintf("%q does not mention %s", w.section, w.text))
		}
	}
	return faults
}

func (x lessonText) pictureFaults() (faults []string) {
	folder := path.Join("lessons", x.lesson.ID)
	shown := map[string]bool{}
	for _, i := range image.FindAllStringSubmatch(x.prose, -1) {
		alt, file := i[1], i[2]
		shown[file] = true
		if len(strings.Fields(alt)) < 3 {
			faults = append(faults, fmt.Sprintf("the picture %s is not described to those who cannot see it", file))
		}
		if _, err := fs.Stat(x.repository, path.Join(folder, file)); err != nil {
			faults = append(faults, fmt.Sprintf("the picture %s is missing", file))
		}
	}
	files, err := fs.Glob(x.repository, folder+"/*.svg")
	if err != nil || len(files) == 0 {
		faults = append(faults, "the lesson has no picture")
	}
	for _, file := range files {
		name := path.Base(file)
		if !shown[name] {
			faults = append(faults, fmt.Sprintf("%s is in the folder and in no text", name))
		}
		if err := checkSVG(x.repository, file); err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", name, err))
		}
	}
	return faults
}

// checkSVG wants well-formed XML, a viewBox, and a title and a description.
func checkSVG(repository fs.FS, file string) error {
	raw, err := repository.Open(file)
	if err != nil {
		return err
	}
	defer raw.Close()
	var svg struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
		ViewBox string   `xml:"viewBox,attr"`
		Title   string   `xml:"title"`
		Desc    string   `xml:"desc"`
	}
	d := xml.NewDecoder(raw)
	if err := d.Decode(&svg); err != nil {
		return fmt.Errorf("it is no XML of an svg: %w", err)
	}
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("it is no XML: %w", err)
		}
	}
	for name, value := range map[string]string{"viewBox": svg.ViewBox, "<title>": svg.Title, "<desc>": svg.Desc} {
		if strings.TrimSpace(value) == "" {
			return fmt.Errorf("it has no %s", name)
		}
	}
	return nil
}

// linkFaults wants every link into the repository to lead somewhere.
func (x lessonText) linkFaults() (faults []string) {
	folder := path.Join("lessons", x.lesson.ID)
	for name, text := range map[string]string{"README.md": x.prose, "hints.md": x.hints} {
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			target := l[1]
			if strings.Contains(target, "://") {
				if !strings.HasPrefix(target, "https://") {
					faults = append(faults, fmt.Sprintf("%s: the link %s is not https", name, target))
				}
				continue
			}
			file, fragment, _ := strings.Cut(target, "#")
			if file == "" {
				file = name
			}
			there, err := fs.Stat(x.repository, path.Join(folder, file))
			if err != nil {
				faults = append(faults, fmt.Sprintf("%s: the link %s leads nowhere", name, target))
				continue
			}
			if fragment != "" && !there.IsDir() {
				whole, err := fs.ReadFile(x.repository, path.Join(folder, file))
				if err != nil || !strings.Contains(string(whole), `<a id="`+fragment+`"></a>`) {
					faults = append(faults, fmt.Sprintf("%s: the link %s leads to no such place in the file", name, target))
				}
			}
		}
	}
	return faults
}

func (x lessonText) hintFaults() (faults []string) {
	if !strings.HasPrefix(x.hints, "# Hints\n") {
		faults = append(faults, "hints.md does not begin with # Hints")
	}
	if strings.Contains(x.hints, "```") {
		faults = append(faults, "hints.md has a block of code: a hint is not for pasting")
	}
	own := map[string]bool{}
	for _, s := range x.steps {
		own[s.ID] = true
		text := section(x.hints, s.ID)
		if text == "" {
			faults = append(faults, "there are no hints for "+s.ID)
		} else if got := firsts(numbered.FindAllStringSubmatch(text, -1)); !slices.Equal(got, []string{"1", "2", "3"}) {
			faults = append(faults, fmt.Sprintf("%s has the hints %q, wanted are three numbered hints", s.ID, got))
		}
	}
	headings := firsts(heading.FindAllStringSubmatch(x.hints, -1))
	for i, id := range headings {
		if !own[id] {
			faults = append(faults, fmt.Sprintf("hints.md: %s is no step of this lesson", id))
		}
		if slices.Contains(headings[:i], id) {
			faults = append(faults, fmt.Sprintf("hints.md: %s has two sections", id))
		}
	}
	return faults
}

// A consoleBlock is a fenced block of commands and what they print, under a
// comment that names the server they talk to:
//
//	<!-- server: 04-expiry -access-ttl 2s -->
type consoleBlock struct {
	line     int      // of its fence, in the README
	solution string   // whose server; "none" where the commands need none
	flags    []string // of that server
	commands []shownCommand
}

// A shownCommand is one command and the lines that it prints. In these, "…"
// stands for any characters, and alone on its line for any lines.
type shownCommand struct {
	text   string
	output []string
}

var serverComment = regexp.MustCompile(`^<!-- server: (\S+)((?: \S+)*) -->$`)

// consoleBlocks reads the console blocks of a README. The error names the first
// that nobody could run.
func consoleBlocks(readme string) ([]consoleBlock, error) {
	var blocks []consoleBlock
	lines := strings.Split(readme, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "```") {
			if serverComment.MatchString(lines[i]) && (i+1 == len(lines) || lines[i+1] != "```console") {
				return nil, fmt.Errorf("line %d: no server is needed here: no console block follows", i+1)
			}
			continue
		}
		start := i
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: the fence is not closed", start+1)
		}
		if lines[start] != "```console" {
			continue
		}
		named := serverComment.FindStringSubmatch(lines[max(0, start-1)])
		if named == nil {
			return nil, fmt.Errorf("line %d: no server is named directly above the console block", start+1)
		}
		b := consoleBlock{line: start + 1, solution: named[1], flags: strings.Fields(named[2])}
		for n := start + 1; n < i; n++ {
			command, isCommand := strings.CutPrefix(lines[n], "$ ")
			if isCommand {
				for strings.HasSuffix(command, `\`) && n+1 < i { // goes on in the next line
					n++
					command += "\n" + lines[n]
				}
				b.commands = append(b.commands, shownCommand{text: command})
				continue
			}
			if len(b.commands) == 0 {
				return nil, fmt.Errorf("line %d: an output without a command", n+1)
			}
			last := &b.commands[len(b.commands)-1]
			last.output = append(last.output, lines[n])
		}
		if len(b.commands) == 0 {
			return nil, fmt.Errorf("line %d: a console block without a command", start+1)
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

var sleeps = regexp.MustCompile(`\bsleep (\S+)`)

func (x lessonText) consoleFaults() (faults []string) {
	blocks, err := consoleBlocks(x.readme)
	if err != nil {
		return []string{"README.md: " + err.Error()}
	}
	if len(blocks) == 0 {
		faults = append(faults, "README.md: there is nothing to try: no console block")
	}
	for _, b := range blocks {
		if _, err := lessons.Find(b.solution); err != nil && b.solution != noServer {
			faults = append(faults, fmt.Sprintf("README.md, line %d: %v", b.line, err))
		}
		for _, c := range b.commands {
			for _, s := range sleeps.FindAllStringSubmatch(c.text, -1) {
				if n, err := strconv.ParseFloat(s[1], 64); err != nil || n > 3 {
					faults = append(faults, fmt.Sprintf("README.md, line %d: %s: readers wait 3 seconds at most", b.line, s[0]))
				}
			}
		}
	}
	return faults
}

const (
	noServer   = "none"
	shownHost  = "localhost:8080"                     // where the texts say that the server is
	restarted  = "# Ctrl-C there, and start it again" // a command that restarts the block's server
	blockLimit = time.Minute                          // for starting a server and one block's commands
)

// consoleTools are all that the commands of a text may use, besides what bash
// has built in: every reader has them.
var consoleTools = []string{"curl", "sed", "grep", "cut", "tr", "base64", "sleep"}

// Every console block of every text is carried out, each against a server of its
// own, and prints what stands there.
func TestTextsShowWhatCommandsPrint(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("left out: the texts' commands are for bash, which Windows does not bring")
	}
	t.Parallel()
	root := textsRoot(t)
	bash, err := exec.LookPath("bash")
	require.NoError(t, err, "the texts' commands are for bash")
	tools := toolFolder(t)
	build := builder(root, t.TempDir())
	for _, l := range lessons.All() {
		text, err := readLessonText(os.DirFS(root), l)
		require.NoError(t, err)
		blocks, err := consoleBlocks(text.readme)
		require.NoError(t, err, "lessons/%s/README.md", l.ID)
		for _, b := range blocks {
			t.Run(fmt.Sprintf("%s/line-%d", l.ID, b.line), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), blockLimit)
				defer cancel()
				host := ""
				if b.solution != noServer {
					server := serveSolution(ctx, t, build, b)
					host = server.host
					for i, c := range b.commands {
						if c.text == restarted {
							b.commands[i].text = "curl -s " + server.restartable(ctx, t)
						}
					}
				}
				printed := runConsole(ctx, t, bash, tools, host, b)
				for i, c := range b.commands {
					if !printsAs(c.output, printed[i]) {
						t.Errorf("lessons/%s/README.md, the block at line %d\n$ %s\n--- stands there\n%s\n--- is printed\n%s",
							l.ID, b.line, c.text, strings.Join(c.output, "\n"), strings.Join(printed[i], "\n"))
					}
				}
			})
		}
	}
}

// toolFolder returns a folder with the [consoleTools] and nothing else, to be a
// PATH. A missing tool fails the test.
func toolFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range consoleTools {
		file, err := exec.LookPath(name)
		require.NoError(t, err, "the texts' commands need %s", name)
		file, err = filepath.Abs(file)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(file, filepath.Join(folder, name)))
	}
	return folder
}

// builder returns a function that builds a solution's program once, into the
// folder, and returns its path.
func builder(root, folder string) func(solution string) (string, error) {
	var once sync.Map
	return func(solution string) (string, error) {
		build, _ := once.LoadOrStore(solution, sync.OnceValues(func() (string, error) {
			out := filepath.Join(folder, solution)
			return out, subject.Build(context.Background(), root, "./solutions/"+solution, out)
		}))
		return build.(func() (string, error))()
	}
}

var listens = regexp.MustCompile(`listens on http://([^\s,]+)`)

// A shownServer is the server of a block, as a person would start it.
type shownServer struct {
	program string
	flags   []string
	folder  string // where it stands
	host    string // where it listens, once it does
	end     func()
}

// serveSolution starts the block's server. It ends with the test.
func serveSolution(ctx context.Context, t *testing.T, build func(string) (string, error), b consoleBlock) *shownServer {
	t.Helper()
	program, err := build(b.solution)
	require.NoError(t, err)
	flags := b.flags
	if l, err := lessons.Find(b.solution); err == nil && l.Upstream {
		flags = withUpstream(t, flags)
	}
	if l, err := lessons.Find(b.solution); err == nil && l.SignsIn && !slices.Contains(flags, "-issuer-url") {
		flags = append(slices.Clone(flags), provided(t)...)
	}
	s := &shownServer{program: program, flags: flags, folder: t.TempDir(), host: "127.0.0.1:0"}
	require.NoError(t, s.start(ctx), "%s %q", b.solution, b.flags)
	t.Cleanup(func() { s.end() })
	return s
}

// start starts the program where it listened before, if it did.
func (s *shownServer) start(ctx context.Context) error {
	server := exec.Command(s.program, append([]string{"-addr", s.host}, s.flags...)...)
	server.Dir = s.folder
	stderr, err := server.StderrPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	host := make(chan string, 1)
	drained := make(chan struct{})
	var said []string // until it serves; to be read once drained is closed
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			said = append(said, lines.Text())
			if found := listens.FindStringSubmatch(lines.Text()); found != nil {
				host <- found[1]
				break
			}
		}
		io.Copy(io.Discard, stderr) // or the server would wait for a reader
	}()
	s.end = func() {
		server.Process.Kill()
		<-drained
		server.Wait()
	}
	select {
	case s.host = <-host:
		return nil
	case <-drained:
		return fmt.Errorf("the server ended before it served\n%s", strings.Join(said, "\n"))
	case <-ctx.Done():
		return errors.New("the server does not say where it listens")
	}
}

// restartable returns a URL that restarts the server when it is asked for.
func (s *shownServer) restartable(ctx context.Context, t *testing.T) string {
	switchboard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.end()
		if err := s.start(ctx); err != nil {
			fmt.Fprintln(w, err)
		}
	}))
	t.Cleanup(switchboard.Close)
	return switchboard.URL
}

// withUpstream starts an upstream as make run does and returns the flags of a
// server that logs in at it. "-upstream-ttl 2s" is for the upstream. A server whose
// flags name another one gets none.
func withUpstream(t *testing.T, flags []string) []string {
	t.Helper()
	if slices.Contains(flags, "-upstream") {
		return flags
	}
	api := upstream.NewAPI()
	api.Gives(upstream.Rotated)
	if at := slices.Index(flags, "-upstream-ttl"); at >= 0 {
		life, err := time.ParseDuration(flags[at+1])
		require.NoError(t, err)
		api.Lives(life)
		flags = slices.Delete(flags, at, at+2)
	}
	require.NoError(t, api.Open(&lessons.Settings{}))
	t.Cleanup(api.Close)
	return append(flags, "-upstream", api.URL())
}

// provided starts a provider for a block's server, as make run does, and returns the
// flags that tell the server of it. It ends with the test.
func provided(t *testing.T) []string {
	t.Helper()
	p, err := upstream.ForPeople(shownLife, io.Discard)
	require.NoError(t, err)
	client, err := p.Serve()
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return []string{"-issuer-url", client.Issuer, "-client-id", client.ClientID, "-client-secret", client.ClientSecret}
}

// shownLife is how long an access token lives in the texts. The reference takes it for
// expired five seconds before its end: a reader waits three.
const shownLife = 8 * time.Second

// runConsole carries out the block's commands in one bash and returns the lines
// that each printed, on stdout and stderr alike: that is what a reader sees.
func runConsole(ctx context.Context, t *testing.T, bash, tools, host string, b consoleBlock) [][]string {
	t.Helper()
	const mark = "~~~ end of a command ~~~"
	var script strings.Builder
	script.WriteString("exec 2>&1\n")
	for _, c := range b.commands {
		text := c.text
		if host != "" {
			text = strings.ReplaceAll(text, shownHost, host)
		}
		fmt.Fprintf(&script, "%s\nprintf '\\n%%s\\n' '%s'\n", text, mark)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, bash, "-c", script.String())
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + tools, "HOME=" + home, "LC_ALL=C", "no_proxy=*"}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	require.NoError(t, ctx.Err(), "the commands do not end")
	require.NoError(t, err, "bash: %s", out)

	printed := strings.ReplaceAll(string(out), "\r\n", "\n")
	if host != "" {
		printed = strings.ReplaceAll(printed, host, shownHost)
	}
	parts := strings.Split(printed, "\n"+mark+"\n")
	require.Len(t, parts, len(b.commands)+1, "%s", out)
	var each [][]string
	for _, p := range parts[:len(b.commands)] {
		each = append(each, trimmedLines(p))
	}
	return each
}

// trimmedLines are the lines of a text without the empty ones at its end.
func trimmedLines(text string) []string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// printsAs tells whether the lines are those that the text shows.
func printsAs(shown, printed []string) bool {
	switch {
	case len(shown) == 0:
		return len(printed) == 0
	case shown[0] == "…":
		for skip := range len(printed) + 1 {
			if printsAs(shown[1:], printed[skip:]) {
				return true
			}
		}
		return false
	case len(printed) == 0:
		return false
	}
	return lineAs(shown[0], printed[0]) && printsAs(shown[1:], printed[1:])
}

func lineAs(shown, printed string) bool {
	parts := strings.Split(shown, "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(printed)
}

func TestShownOutputIsCompared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shown, printed string
		same           bool
	}{
		{"", "", true},
		{"", "x", false},
		{"x", "", false},
		{"x", "x", true},
		{"x", "xy", false},
		{"x…", "xy", true},
		{"x…", "x", true},
		{`{"a":"ey…"}`, `{"a":"eyJ"}`, true},
		{`{"a":"ey…"}`, `{"a":"eyJ","b":1}`, false},
		{"a.c", "abc", false},
		{"a\nb", "a", false},
		{"a\nb", "a\nb", true},
		{"a\n…\nb", "a\nb", true},
		{"a\n…\nb", "a\nx\ny\nb", true},
		{"a\n…\nb", "a\nx\ny", false},
		{"…", "", true},
		{"a\n…", "a\nx\ny", true},
		{"a\n…", "b\nx", false},
		{"a…b", "a\nb", false},
	} {
		assert.Equal(t, c.same, printsAs(trimmedLines(c.shown), trimmedLines(c.printed)), "%q and %q", c.shown, c.printed)
	}
}

// The front page lists every lesson with its aim and its minutes.
func TestTheFrontPageListsTheLessons(t *testing.T) {
	front, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	for _, l := range lessons.All() {
		assert.Contains(t, string(front), fmt.Sprintf("| [%s](lessons/%[1]s/README.md) | %s | %d |\n", l.ID, l.Aim, l.Minutes))
	}
}
