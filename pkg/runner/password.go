package runner

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stackctl/stackctl/pkg/runner/engine"
	"github.com/stackctl/stackctl/pkg/runner/plan"
	"github.com/stackctl/stackctl/pkg/runner/state"
)

// PasswordError says that a PostgreSQL server has another password than its service
// is given: it keeps the one that its data was made with.
type PasswordError struct {
	Service, Container string
	// Volume is the name of the volume with the data; empty for a folder.
	Volume string
	// User is whose password it is.
	User string
}

func (e *PasswordError) Error() string {
	data := "its data"
	if e.Volume != "" {
		data = "volume " + e.Volume
	}
	return fmt.Sprintf("the password of service %s is not the one that PostgreSQL has for user %s: %s was made with another, and keeps it until it is told the new one", e.Service, e.User, data)
}

// database is a service that is PostgreSQL by the official image's conventions, has
// data that outlives its containers, and is given a password.
type database struct {
	user, password, volume string
}

// postgresData is where the official image has its data.
const postgresData = "/var/lib/postgresql"

// databaseOf finds out whether a container is such a server.
func databaseOf(c state.ContainerSpec) (database, bool) {
	env := func(name string) string {
		if value := c.Config.Environment[name]; value != nil {
			return *value
		}
		return ""
	}
	d := database{user: env("POSTGRES_USER"), password: env("POSTGRES_PASSWORD")}
	if d.user == "" {
		d.user = "postgres"
	}
	if file := env("POSTGRES_PASSWORD_FILE"); file != "" {
		i := slices.IndexFunc(c.Files, func(f state.File) bool { return path.Clean(f.Target) == path.Clean(file) })
		if i < 0 {
			return d, false
		}
		d.password = strings.TrimRight(content(c.Files[i]), "\r\n")
	}
	at := slices.IndexFunc(c.Config.Volumes, func(v types.ServiceVolumeConfig) bool {
		return strings.HasPrefix(v.Target, postgresData) || env("PGDATA") != "" && strings.HasPrefix(env("PGDATA"), v.Target)
	})
	if at < 0 || d.password == "" || strings.Contains(d.password, "\n") {
		return d, false
	}
	if v := c.Config.Volumes[at]; v.Type == types.VolumeTypeVolume {
		d.volume = c.VolumeNames[v.Source]
	}
	return d, true
}

// content is what is in a file; nothing when it cannot be read: the container says why,
// if it cannot either.
func content(f state.File) string {
	if f.Source == "" {
		return f.Content
	}
	text, err := os.ReadFile(f.Source)
	if err != nil {
		return ""
	}
	return string(text)
}

// given says that a container is given a password, in a variable or in a file.
func given(c state.ContainerSpec, password string) bool {
	for _, value := range c.Config.Environment {
		if value != nil && strings.Contains(*value, password) {
			return true
		}
	}
	return slices.ContainsFunc(c.Files, func(f state.File) bool { return strings.Contains(content(f), password) })
}

// askPassword ends with 3 when the server says that the password is wrong over the
// container's network, on which it listens, and takes a connection without it over its
// socket: then it is not for lack of the user, which it calls the same. What else it may
// say, such as that it takes nobody without a certificate, tells nothing of the password,
// and neither does another language. From 127.0.0.1 the official image lets everybody
// in. The password comes on the standard input, so that it is on no command
// line.
const askPassword = `IFS= read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=2; wrong=
for address in $(hostname -i); do
	pg_isready -q -t 2 -h "$address" || continue
	said=$(psql -h "$address" -U "$0" -d postgres -wAtqc 'select 1' 2>&1) && exit 0
	case $said in *"password authentication failed"*) wrong=1 ;; esac
done
[ "$wrong" ] || exit 0
unset PGPASSWORD
psql -U "$0" -d postgres -wAtqc 'select 1' >/dev/null 2>&1 && exit 3
exit 0`

const passwordDiffers = 3

// passwordPatience bounds the question: a command that is cut off from us may wait for
// its input as long as the server runs. Where nothing is wrong, a few hundredths of a
// second are enough.
const passwordPatience = 6 * time.Second

// checkPassword asks a running server whether it has the password that its service is
// given. What cannot be asked is no error: the server may be none, or have no psql.
func (r *Runner) checkPassword(ctx context.Context, d database, c state.ContainerSpec, id string) error {
	command := engine.Command{Args: []string{"sh", "-c", askPassword, d.user}}
	bound, cancel := context.WithTimeout(ctx, passwordPatience)
	defer cancel()
	code, err := r.engine.ExecAttached(bound, id, command, engine.Streams{In: strings.NewReader(d.password + "\n")})
	if err != nil || code != passwordDiffers {
		return context.Cause(ctx)
	}
	return &PasswordError{Service: c.Service, Container: c.Name, Volume: d.volume, User: d.user}
}

// checkPasswords asks the servers that run, before anything is changed: what starts
// with a password that the server does not have would not work. Only those are asked
// whose password a container is given that the plan starts. Their own being new is not
// enough: one that was found to have another password runs as it is to be, and what
// waited for it does not.
func (r *Runner) checkPasswords(ctx context.Context, desired state.Desired, observed state.Observed, todo *plan.Plan) error {
	starts := starting(todo)
	for _, c := range observed.Containers {
		service, known := desired.Service(c.Service)
		if !known || c.State != "running" || c.Health == "starting" || len(service.Containers) == 0 {
			continue
		}
		spec := service.Containers[0]
		d, ok := databaseOf(spec)
		if !ok || !slices.ContainsFunc(starts, func(s state.ContainerSpec) bool { return given(s, d.password) }) {
			continue
		}
		if err := r.checkPassword(ctx, d, spec, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// starting gives the containers that a plan makes or starts.
func starting(todo *plan.Plan) []state.ContainerSpec {
	var out []state.ContainerSpec
	for _, n := range todo.Nodes {
		switch op := n.Op.(type) {
		case plan.CreateContainer:
			out = append(out, op.Container)
		case plan.ReplaceContainer:
			out = append(out, op.New)
		case plan.StartContainer:
			if op.ID != "" { // else it is made, too
				out = append(out, op.Container)
			}
		}
	}
	return out
}

// checkStarted gives the check of a server that has started and is ready. One whose
// volume the plan makes has the password that it is given.
func (r *Runner) checkStarted(todo *plan.Plan) func(ctx context.Context, c state.ContainerSpec, id string) error {
	made := map[string]bool{}
	for _, n := range todo.Nodes {
		if op, create := n.Op.(plan.CreateVolume); create {
			made[op.Volume.Name] = true
		}
	}
	return func(ctx context.Context, c state.ContainerSpec, id string) error {
		d, ok := databaseOf(c)
		if !ok || made[d.volume] {
			return nil
		}
		return r.checkPassword(ctx, d, c, id)
	}
}
