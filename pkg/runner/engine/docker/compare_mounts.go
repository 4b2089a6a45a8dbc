package docker

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/mount"
)

// bindText reads "source:target:options" and gives the target and the rest as
// [mountText] does.
func bindText(bind string) (target, text string) {
	parts := strings.Split(bind, ":")
	if len(parts) > 1 && len(parts[0]) == 1 && strings.HasPrefix(parts[1], `\`) { // a drive of Windows
		parts = append([]string{parts[0] + ":" + parts[1]}, parts[2:]...)
	}
	m := mount.Mount{Type: mount.TypeVolume, Target: parts[0]}
	if len(parts) > 1 {
		m.Source, m.Target = parts[0], parts[1]
	}
	if strings.ContainsAny(m.Source, `/\`) {
		m.Type = mount.TypeBind
	}
	var more []string
	if len(parts) > 2 {
		for option := range strings.SplitSeq(parts[2], ",") {
			switch option {
			case "ro":
				m.ReadOnly = true
			case "rw", "":
			case "nocopy":
				m.VolumeOptions = &mount.VolumeOptions{NoCopy: true}
			case "consistent", "cached", "delegated", "default":
				m.Consistency = mount.Consistency(option)
			case "z", "Z":
				if option == "Z" || m.Type == mount.TypeBind { // volumes are shared anyway
					more = append(more, "selinux="+option)
				}
			default:
				m.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(option)}
			}
		}
	}
	return path.Clean(m.Target), mountText(m, more...)
}

// mountText writes a mount in one form, in compose words: "/src ro",
// "shop_data subpath=a". Whether a missing folder is made on the host is over when
// the container is there.
func mountText(m mount.Mount, more ...string) string {
	out := slices.Clone(more)
	add := func(set bool, text string) {
		if set {
			out = append(out, text)
		}
	}
	add(m.ReadOnly, "ro")
	// Full consistency is what "default" means.
	add(m.Consistency == mount.ConsistencyCached || m.Consistency == mount.ConsistencyDelegated, string(m.Consistency))
	if b := m.BindOptions; b != nil {
		add(b.Propagation != "" && b.Propagation != mount.PropagationRPrivate, "propagation="+string(b.Propagation))
		add(b.NonRecursive, "recursive=disabled")
		add(b.ReadOnlyNonRecursive, "recursive=writable")
		add(b.ReadOnlyForceRecursive, "recursive=readonly")
	}
	if v := m.VolumeOptions; v != nil {
		add(v.NoCopy, "nocopy")
		add(v.Subpath != "", "subpath="+v.Subpath)
		add(len(v.Labels) > 0, fmt.Sprint("labels=", v.Labels))
		if d := v.DriverConfig; d != nil {
			add(d.Name != "" || len(d.Options) > 0, fmt.Sprint("driver=", d.Name, d.Options))
		}
	}
	if i := m.ImageOptions; i != nil {
		add(i.Subpath != "", "subpath="+i.Subpath)
	}
	if t := m.TmpfsOptions; t != nil {
		add(t.SizeBytes != 0, "size="+sizeText(t.SizeBytes))
		add(t.Mode != 0, fmt.Sprintf("mode=%o", t.Mode))
		add(len(t.Options) > 0, fmt.Sprint("options=", t.Options))
	}
	slices.Sort(out)
	var what string
	switch m.Type {
	case mount.TypeVolume, mount.TypeBind:
		what = sourceText(m.Type == mount.TypeVolume, m.Source)
	default:
		what = strings.TrimSpace(string(m.Type) + " " + m.Source)
	}
	return strings.Join(append([]string{what}, out...), " ")
}
