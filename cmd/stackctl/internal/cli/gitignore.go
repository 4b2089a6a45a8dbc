package cli

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
)

// ignoreDotenv keeps the password out of git, when the folder of .env is under it.
// What cannot be done is a warning: the password is more needed than git's
// blessing.
func (g *globalOptions) ignoreDotenv(ctx context.Context, dir string) {
	git := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir, cmd.Env = dir, g.app.Environ
		return cmd.Run()
	}
	if git("ls-files", "--error-unmatch", "--", dotenvName) == nil {
		g.warn(dotenvName + " is tracked by git, and will hold a password: `git rm --cached " + dotenvName + "` and add it to .gitignore")
		return
	}
	// check-ignore ends with 1 for a file that is not ignored, and with another
	// code, or not at all, where there is no git to speak of.
	var exit *exec.ExitError
	if err := git("check-ignore", "-q", dotenvName); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		return
	}
	if err := appendLine(filepath.Join(dir, ".gitignore"), "", dotenvName, false); err != nil {
		g.warn("git does not ignore " + dotenvName + ", and it cannot be added to .gitignore: " + err.Error())
		return
	}
	g.note("added %s to .gitignore", dotenvName)
}
