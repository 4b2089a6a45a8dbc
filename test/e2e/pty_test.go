//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// pty is a terminal that a test sits at.
type pty struct {
	s      *stage
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd
	before unix.Termios // the mode at the start
	screen *output
	closed chan struct{} // closed when the screen has all
}

// sitDown runs stackctl on a terminal of its own.
func (s *stage) sitDown(columns, rows uint16, args ...string) *pty {
	s.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &pty{s: s, master: master, slave: slave, cmd: s.command(binary, append([]string{"-p", s.project}, args...)...), screen: newOutput(), closed: make(chan struct{})}
	p.resize(columns, rows)
	p.before = p.mode()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.closed)
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			_, _ = p.screen.Write(buffer[:n])
			if err != nil { // EIO when nobody has the other side open any more
				if !errors.Is(err, syscall.EIO) && !errors.Is(err, fs.ErrClosed) {
					s.t.Errorf("read the terminal: %v", err)
				}
				return
			}
		}
	}()
	return p
}

func (p *pty) resize(columns, rows uint16) {
	p.s.t.Helper()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		p.s.t.Fatal(err)
	}
}

// mode is how the terminal treats keys.
func (p *pty) mode() unix.Termios {
	p.s.t.Helper()
	mode, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return *mode
}

// press types keys.
func (p *pty) press(keys string) {
	p.s.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.s.t.Fatal(err)
	}
}

// shows waits until the screen shows a text.
func (p *pty) shows(text string) {
	p.s.t.Helper()
	p.s.eventually("the terminal shows "+text+" on\n"+p.screen.String(), func() bool { return p.screen.contains(text) })
}

// leave waits for the end of the command and gives its exit code.
func (p *pty) leave() int {
	p.s.t.Helper()
	_ = p.cmd.Wait() // the exit code says it
	if err := p.slave.Close(); err != nil {
		p.s.t.Fatal(err)
	}
	<-p.closed
	p.s.t.Logf("%s: exit code %d\n%s", p.cmd, p.cmd.ProcessState.ExitCode(), p.screen)
	return p.cmd.ProcessState.ExitCode()
}

// A shell in a container is as one here: it has the terminal's size and every
// later one, Ctrl-C is its own, and what it ends with is told. The terminal is
// afterwards as it was.
func TestExecOnATerminal(t *testing.T) {
	s := newStage(t)
	s.upSleeper()
	p := s.sitDown(101, 33, "exec", "web", "sh")
	p.press("echo si''ze $(stty size)\r")
	p.shows("size 33 101\r\n")
	if p.mode() == p.before {
		t.Error("the terminal is not in raw mode")
	}
	p.resize(120, 40)
	p.press("until [ \"$(stty size)\" = '40 120' ]; do :; done; echo resi''zed\r")
	p.shows("resized\r\n")
	p.press("echo wait''ing; sleep 1000\r")
	p.shows("waiting\r\n")
	p.press("\x03")
	p.press("echo still he''re\r")
	p.shows("still here\r\n")
	p.press("exit 5\r")
	p.s.eventually("the terminal is as it was", func() bool { return p.mode() == p.before })
	if code := p.leave(); code != 5 {
		t.Errorf("exit code %d", code)
	}
}

// Ctrl-P Ctrl-Q lets go of a command, which goes on.
func TestExecLetGo(t *testing.T) {
	s := newStage(t)
	s.upSleeper()
	p := s.sitDown(80, 24, "exec", "web", "sh")
	p.press("echo he''re; while [ ! -e /end ]; do sleep 0.1; done; touch /ended\r")
	p.shows("here\r\n")
	p.press("\x10\x11")
	if code := p.leave(); code != 0 || !p.screen.contains("detached; the command goes on in "+s.project+"-web-1") {
		t.Errorf("exit code %d", code)
	}
	s.run(0, "exec", "web", "touch", "/end")
	s.eventually("the command goes on", func() bool {
		return s.exec(binary, "-p", s.project, "exec", "web", "test", "-e", "/ended").code == 0
	})
}

// A terminal is put back by a signal from outside, too; the second one ends the
// process at once.
func TestExecOnATerminalEndsWithASignal(t *testing.T) {
	s := newStage(t)
	s.upSleeper()
	p := s.sitDown(80, 24, "exec", "web", "sh", "-c", "echo here; sleep 1000")
	p.shows("here\r\n")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.s.eventually("the terminal echoes keys again", func() bool { return p.mode().Lflag&unix.ECHO != 0 })
	if code := p.leave(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
}

// A container of its own has the terminal as well.
func TestRunOnATerminal(t *testing.T) {
	s := newStage(t)
	p := s.sitDown(101, 33, "run", "--rm", "--no-deps", "--entrypoint", "sh", "cache")
	p.shows("created") // the progress, which has ended by the first key
	p.press("echo he''re\r")
	p.shows("here\r\n")
	p.press("until [ \"$(stty size)\" = '33 101' ]; do :; done; echo si''zed\r")
	p.shows("sized\r\n")
	p.press("exit 6\r")
	if code := p.leave(); code != 6 {
		t.Errorf("exit code %d", code)
	}
	if left := s.oneOffs(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
