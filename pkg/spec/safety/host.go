package safety

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

func privileged(s *look) {
	const message = "gives the container everything that the host can do"
	if s.service.Privileged {
		s.found(".privileged", message)
	}
	for i, hook := range s.service.PostStart {
		if hook.Privileged {
			s.found(".post_start["+strconv.Itoa(i)+"].privileged", message)
		}
	}
	for i, hook := range s.service.PreStop {
		if hook.Privileged {
			s.found(".pre_stop["+strconv.Itoa(i)+"].privileged", message)
		}
	}
}

// host finds a namespace that is the host's.
func host(s *look, key, value, message string) {
	if value == "host" {
		s.found("."+key, "%s", message)
	}
}

// sockets are what engines listen on, by name; they lie below /run and /var/run, and
// for users without root below /run/user.
var sockets = []string{"docker.sock", "containerd.sock", "podman.sock", "crio.sock"}

// socketFolders are the folders that such sockets are in.
var socketFolders = regexp.MustCompile(`^(/var)?/run(/(containerd|podman|crio|user(/\d+(/podman)?)?))?$`)

func dockerSocket(s *look) {
	if s.service.UseAPISocket {
		s.found(".use_api_socket", "hands the engine over to the container")
	}
	mounts(s, func(at, source string, readOnly bool) {
		switch base := path.Base(source); {
		case slices.Contains(sockets, base):
			s.found(at, "hands the engine over to the container: %s", base)
		// Without it the root is found as a host's folder that can be written to.
		case socketFolders.MatchString(source), source == "/" && readOnly:
			s.found(at, "hands the engine over to the container: its socket is in %s", source)
		}
	})
}

// Folders of the host: those that are its own with all below them, and those that are
// only as a whole.
var (
	systemTrees = []string{
		"/etc", "/proc", "/sys", "/boot", "/usr", "/bin", "/sbin", "/lib", "/lib64",
		"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers",
	}
	systemFolders = []string{"/", "/dev", "/home", "/root", "/var", "/var/lib", "/opt"}
)

func hostPath(s *look) {
	mounts(s, func(at, source string, readOnly bool) {
		isBelow := func(tree string) bool { return source == tree || strings.HasPrefix(source, tree+"/") }
		if !readOnly && (slices.Contains(systemFolders, source) || slices.ContainsFunc(systemTrees, isBelow)) {
			s.found(at, "lets the container write to %s of the host", source)
		}
	})
}

// mounts visits the paths of the host that are mounted: those of binds, and those that
// volumes of the local driver stand for.
func mounts(s *look, visit func(at, source string, readOnly bool)) {
	for i, v := range s.service.Volumes {
		at := ".volumes[" + strconv.Itoa(i) + "]"
		switch v.Type {
		case types.VolumeTypeBind:
			visit(at, path.Clean(v.Source), v.ReadOnly)
		case types.VolumeTypeVolume:
			opts := s.project.Volumes[v.Source].DriverOpts
			options := strings.Split(opts["o"], ",")
			if device := opts["device"]; path.IsAbs(device) && (slices.Contains(options, "bind") || slices.Contains(options, "rbind")) {
				visit(at, path.Clean(device), v.ReadOnly || slices.Contains(options, "ro"))
			}
		}
	}
}

// disks are devices that hold, or are, everything.
var disks = regexp.MustCompile(`^/dev/(mem|kmem|port|sd[a-z]+\d*|hd[a-z]+\d*|vd[a-z]+\d*|xvd[a-z]+\d*|nvme\d+n\d+(p\d+)?|mmcblk\d+(p\d+)?|dm-\d+|md\d+|mapper(/.*)?|disk(/.*)?)$|^/dev/?$`)

func hostDevice(s *look) {
	for i, d := range s.service.Devices {
		if disks.MatchString(path.Clean(d.Source)) {
			s.found(".devices["+strconv.Itoa(i)+"]", "hands %s of the host over to the container", d.Source)
		}
	}
	for i, rule := range s.service.DeviceCgroupRules {
		if fields := strings.Fields(rule); len(fields) > 1 && (fields[0] == "a" || fields[1] == "*:*") {
			s.found(".device_cgroup_rules["+strconv.Itoa(i)+"]", "allows the container every device of the host")
		}
	}
}

// capabilities are those that are known to lead out of a container.
var capabilities = []string{
	"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "DAC_READ_SEARCH", "BPF", "MAC_ADMIN", "MAC_OVERRIDE",
}

func capability(s *look) {
	for i, name := range s.service.CapAdd {
		if slices.Contains(capabilities, strings.TrimPrefix(strings.ToUpper(name), "CAP_")) {
			s.found(".cap_add["+strconv.Itoa(i)+"]", "%s leads out of the container", name)
		}
	}
}

func unconfined(s *look) {
	for i, option := range s.service.SecurityOpt {
		// Engines take both forms.
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			name, value, _ = strings.Cut(option, ":")
		}
		at := ".security_opt[" + strconv.Itoa(i) + "]"
		switch {
		case value == "unconfined" && slices.Contains([]string{"seccomp", "apparmor", "systempaths"}, name):
			s.found(at, "takes the profile for %s away", name)
		case name == "label" && value == "disable":
			s.found(at, "takes the label for SELinux away")
		}
	}
}
