package main

import (
	"fmt"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/viewport"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"jwtworkshop/checker/grade"
	"jwtworkshop/checker/live"
	"jwtworkshop/checker/workbook"
	"jwtworkshop/lessons"
)

// A source tells how a lesson stands: a [live.Watcher].
type source interface {
	States() <-chan live.State
	Again()
	Close()
}

// A page is what the middle of the screen shows.
type page int

const (
	home page = iota // the lesson
	list             // all lessons
	text             // the lesson's README
	diff             // the way to the reference
	help             // the keys
)

// A screen is the model: what is known, and where the learner is.
type screen struct {
	book   *workbook.Workbook
	follow func(lessons.Lesson) source

	lesson  lessons.Lesson
	watcher source
	state   live.State

	width, height int
	plain         bool // the terminal shows no colours
	page          page
	views         map[page]*viewport.Model
	rendered      rendered // the page text
	difference    string   // what the page diff shows

	note    string // what a key has left to say, until the next one or a verdict
	lasting bool   // it outlives the verdict: the save was its own
	asking  bool   // whether to reset
	ticking bool

	hinted string   // the step that hints were asked for
	hints  []string // those given, gentlest first
	hintOf int      // how many there are

	marks  map[string]workbook.Mark // of the list; nil until they are read
	cursor int                      // in the list
}

func newScreen(book *workbook.Workbook, l lessons.Lesson, follow func(lessons.Lesson) source) *screen {
	s := &screen{book: book, follow: follow, width: 80, height: 24, views: map[page]*viewport.Model{}}
	for p := home; p <= help; p++ {
		v := viewport.New()
		v.KeyMap = viewport.KeyMap{
			Up: key.NewBinding(key.WithKeys("up", "k")), Down: key.NewBinding(key.WithKeys("down", "j")),
			PageUp: key.NewBinding(key.WithKeys("pgup", "b")), PageDown: key.NewBinding(key.WithKeys("pgdown", "space")),
		}
		s.views[p] = &v
	}
	s.watch(l)
	return s
}

// The messages that commands end in.
type (
	stateMsg struct {
		from  source
		state live.State
	}
	tickMsg struct{}
	hintMsg struct {
		step      string
		level, of int
		text      string
		err       error
	}
	marksMsg map[string]workbook.Mark
	noteMsg  string
	diffMsg  struct {
		lesson lessons.Lesson
		text   string
		err    error
	}
)

func (s *screen) Init() tea.Cmd { return s.listen() }

// listen waits for the next state.
func (s *screen) listen() tea.Cmd {
	w := s.watcher
	return func() tea.Msg {
		if state, open := <-w.States(); open {
			return stateMsg{w, state}
		}
		return nil
	}
}

// watch turns to a lesson, and returns what ends the watcher of the last one.
func (s *screen) watch(l lessons.Lesson) tea.Cmd {
	old := s.watcher
	s.lesson, s.watcher, s.state = l, s.follow(l), live.State{Lesson: l}
	s.hinted, s.hints, s.note, s.lasting = "", nil, "", false
	for _, v := range s.views {
		v.GotoTop()
	}
	s.open(home)
	if old == nil {
		return nil
	}
	return tea.Batch(s.listen(), func() tea.Msg { old.Close(); return nil })
}

func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	cmd := s.update(msg)
	s.layout()
	return s, cmd
}

func (s *screen) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = max(narrowest, msg.Width), msg.Height
	case tea.ColorProfileMsg:
		s.plain = msg.Profile <= colorprofile.ASCII
	case stateMsg:
		if msg.from != s.watcher {
			return nil // of a lesson that was left
		}
		s.see(msg.state)
		return tea.Batch(s.listen(), s.tick())
	case tickMsg:
		s.ticking = false
		return s.tick()
	case hintMsg:
		s.hint(msg)
	case marksMsg:
		s.marks = msg
	case noteMsg:
		s.note, s.lasting = string(msg), true
	case diffMsg:
		switch {
		case msg.lesson.ID != s.lesson.ID:
		case msg.err != nil:
			s.note = msg.err.Error()
		case msg.text == "":
			s.note = "your files and the reference are the same"
		default:
			s.difference = msg.text
			s.views[diff].GotoTop()
			s.open(diff)
		}
	case tea.KeyPressMsg:
		return s.press(msg)
	}
	return nil
}

// see takes in how the lesson stands.
func (s *screen) see(now live.State) {
	if now.Phase == live.Graded {
		if !s.lasting {
			s.note = ""
		}
		first, failing := now.Verdict.First()
		if !failing || first.Step.ID != s.hinted {
			s.hinted, s.hints = "", nil
		}
		if was, _ := s.state.Verdict.First(); was.Step.ID != first.Step.ID {
			s.views[home].GotoTop()
		}
	}
	s.state = now
}

// tick keeps the seconds going while there is something to wait for.
func (s *screen) tick() tea.Cmd {
	if s.ticking || s.state.Phase == live.Graded {
		return nil
	}
	s.ticking = true
	return tea.Tick(100*time.Millisecond, func(time.Time) tea.Msg { return tickMsg{} })
}

func (s *screen) open(p page) { s.page = p }

// press does what a key asks for.
func (s *screen) press(msg tea.KeyPressMsg) tea.Cmd {
	k := msg.String()
	if k == "ctrl+c" {
		return tea.Quit
	}
	s.note, s.lasting = "", false
	if s.asking {
		s.asking = false
		if k != "y" {
			s.note = "nothing was changed"
			return nil
		}
		return s.reset()
	}
	if s.page != home {
		switch k {
		case "q", "esc":
			s.open(home)
			return nil
		}
	}
	switch s.page {
	case list:
		return s.choose(k)
	case text, diff, help:
		return s.read(k, msg)
	}
	switch k {
	case "q":
		return tea.Quit
	case "h":
		return s.nextHint()
	case "n":
		return s.next()
	case "l":
		return s.lessons()
	case "r":
		s.asking = true
	case "d":
		if !s.state.Verdict.Passed() {
			s.note = "d compares with the reference once the lesson has passed"
			return nil
		}
		l := s.lesson
		return func() tea.Msg {
			text, err := s.book.Diff(l)
			return diffMsg{l, text, err}
		}
	case "o":
		s.open(text)
	case "c":
		return s.copy()
	case "enter":
		s.watcher.Again()
	case "?":
		s.open(help)
	default:
		return s.scroll(msg)
	}
	return nil
}

func (s *screen) scroll(msg tea.Msg) tea.Cmd {
	v, cmd := s.views[s.page].Update(msg)
	*s.views[s.page] = v
	return cmd
}

// read is a key in something that is longer than the screen.
func (s *screen) read(k string, msg tea.Msg) tea.Cmd {
	v := s.views[s.page]
	switch {
	case k == "g" || k == "home":
		v.GotoTop()
	case k == "G" || k == "end":
		v.GotoBottom()
	case k == "t" && s.page == text:
		s.toTask()
	case k == "o" && s.page == text, k == "d" && s.page == diff, k == "?" && s.page == help:
		s.open(home)
	default:
		return s.scroll(msg)
	}
	return nil
}

// failing is the step that the card on the screen is about.
func (s *screen) failing() (grade.Result, bool) {
	if s.state.Verdict.Err != nil {
		return grade.Result{}, false
	}
	return s.state.Verdict.First()
}

func (s *screen) nextHint() tea.Cmd {
	first, failing := s.failing()
	switch {
	case s.state.Verdict.Passed():
		s.note = "it has passed: there is nothing to hint at"
	case s.state.Verdict.Err != nil:
		s.note = "no hint for this: it is not about a step"
	case !failing:
		s.note = "there is no verdict yet"
	case first.Status == grade.Error:
		s.note = "no hint for this: your server gives no answer at all"
	case s.hinted == first.Step.ID && len(s.hints) == s.hintOf:
		s.note = "that was the last hint"
		s.views[home].GotoBottom()
	default:
		return func() tea.Msg {
			m := hintMsg{step: first.Step.ID}
			home, err := lessons.Find(first.Step.Lesson)
			if err == nil {
				m.level, m.of, m.text, err = s.book.NextHint(home, m.step)
			}
			m.err = err
			return m
		}
	}
	return nil
}

// hint shows a hint, and the gentler ones that were given before it.
func (s *screen) hint(m hintMsg) {
	if first, failing := s.failing(); m.err == nil && (!failing || first.Step.ID != m.step) {
		return // it passes by now
	}
	if m.err != nil {
		s.note = m.err.Error()
		return
	}
	if s.hinted != m.step {
		s.hinted, s.hints = m.step, nil
		if home, err := lessons.Find(s.stepLesson(m.step)); err == nil {
			if all, err := workbook.Hints(home); err == nil {
				s.hints = append(s.hints, all[m.step][:m.level-1]...)
			}
		}
	}
	if len(s.hints) < m.level {
		s.hints = append(s.hints, m.text)
	}
	s.hintOf = m.of
	s.layout()
	s.showHint()
}

// stepLesson is the lesson that teaches a step.
func (s *screen) stepLesson(id string) string {
	for _, r := range s.state.Verdict.Results {
		if r.Step.ID == id {
			return r.Step.Lesson
		}
	}
	return ""
}

func (s *screen) next() tea.Cmd {
	if !s.state.Verdict.Passed() {
		s.note = fmt.Sprintf("n goes on once lesson %02d has passed; l shows all lessons", s.lesson.Number())
		return nil
	}
	after, ok := s.lesson.Next()
	if !ok {
		s.note = "it was the last one"
		return nil
	}
	return s.watch(after)
}

func (s *screen) lessons() tea.Cmd {
	s.open(list)
	for i, l := range lessons.All() {
		if l.ID == s.lesson.ID {
			s.cursor = i
		}
	}
	return func() tea.Msg { return marksMsg(s.book.Marks()) }
}

// choose is a key in the list.
func (s *screen) choose(k string) tea.Cmd {
	all := lessons.All()
	switch k {
	case "up", "k":
		s.cursor = max(0, s.cursor-1)
	case "down", "j":
		s.cursor = min(len(all)-1, s.cursor+1)
	case "g", "home":
		s.cursor = 0
	case "G", "end":
		s.cursor = len(all) - 1
	case "l":
		s.open(home)
	case "enter":
		if all[s.cursor].ID == s.lesson.ID {
			s.open(home)
			return nil
		}
		return s.watch(all[s.cursor])
	}
	return nil
}

func (s *screen) reset() tea.Cmd {
	l := s.lesson
	return func() tea.Msg {
		backup, err := s.book.Reset(l, time.Now())
		switch {
		case err != nil:
			return noteMsg(err.Error())
		case backup == "":
			return noteMsg("lessons/" + l.ID + " is as it was at first")
		}
		return noteMsg("reset; yours: " + backup)
	}
}

// copy hands the failing request to the terminal's clipboard, whole.
func (s *screen) copy() tea.Cmd {
	first, _ := s.failing()
	if first.Failure == nil || first.Failure.Sent == nil {
		s.note = "there is no request to copy"
		return nil
	}
	s.note = "copied the curl line, where your terminal allows it"
	return tea.SetClipboard(first.Failure.Sent.Curl())
}
