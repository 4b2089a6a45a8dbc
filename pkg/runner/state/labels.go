package state

// The labels that Docker Compose puts on what it makes. stackctl puts the same
// ones on, so that either tool can work on a stack that the other brought up.
// Source: docker/compose, pkg/api/labels.go.
const (
	// LabelProject names the project that a resource belongs to. Nothing
	// without it is ever changed or removed.
	LabelProject = "com.docker.compose.project"
	// LabelService names the service that a container runs.
	LabelService = "com.docker.compose.service"
	// LabelNumber counts the containers of one service, from 1.
	LabelNumber = "com.docker.compose.container-number"
	// LabelOneOff is "True" on the containers of `docker compose run`.
	LabelOneOff = "com.docker.compose.oneoff"
	// LabelSlug is what tells the containers of `docker compose run` apart; their
	// names end with its beginning.
	LabelSlug = "com.docker.compose.slug"
	// LabelVersion is the version of the tool that made the resource.
	LabelVersion = "com.docker.compose.version"
	// LabelWorkingDir is the folder that the project was loaded from.
	LabelWorkingDir = "com.docker.compose.project.working_dir"
	// LabelConfigFiles lists the compose files, separated by commas.
	LabelConfigFiles = "com.docker.compose.project.config_files"
	// LabelEnvFiles lists the files with variables that were named, separated by
	// commas; it is absent when none was.
	LabelEnvFiles = "com.docker.compose.project.environment_file"
	// LabelComposeHash is Compose's own hash of the service; see [ComposeHash].
	LabelComposeHash = "com.docker.compose.config-hash"
	// LabelDependsOn lists `service:condition:restart`, separated by commas.
	LabelDependsOn = "com.docker.compose.depends_on"
	// LabelImage is the id of the image that the container was made from.
	LabelImage = "com.docker.compose.image"
	// LabelReplace is on a container that is to take over another's name.
	LabelReplace = "com.docker.compose.replace"
	// LabelNetwork is the key of a network in the project.
	LabelNetwork = "com.docker.compose.network"
	// LabelVolume is the key of a volume in the project.
	LabelVolume = "com.docker.compose.volume"
)

// Our own labels, beside Compose's.
const (
	// LabelHash is our hash of what a resource was made from, with the version
	// of the hash in front: "v2:<hex>".
	LabelHash = "io.stackctl.hash"
	// LabelFiles lists `target=digest` of the configs and secrets, separated by
	// commas: the engine does not tell what is in them.
	LabelFiles = "io.stackctl.files"
	// LabelCarried lists, separated by commas, the anonymous volumes that a
	// container has from the one it replaced. They were named to the engine then,
	// so the engine does not count them as the container's own any more.
	LabelCarried = "io.stackctl.carried-volumes"
	// LabelRemnants is on a volume that is a note: it lists, separated by commas, the
	// anonymous volumes that go after a container, and is there while they do. With the
	// container goes what said that they are the project's.
	LabelRemnants = "io.stackctl.remnants"
	// LabelHelper is on a container that is never started: through it the engine
	// reads or writes a volume. It is [HelperBackup] or [HelperRestore].
	LabelHelper = "io.stackctl.helper"
	// LabelBuild is on images that stackctl made from Go source: the digest of
	// everything that went into the image.
	LabelBuild = "io.stackctl.build"
)

// What a helper is for.
const (
	HelperBackup = "backup"
	// HelperRestore is there until the volume holds all of its backup, so one that
	// is found says that a restore was cut.
	HelperRestore = "restore"
)

// ComposeVersion is what stackctl writes in [LabelVersion]: a Compose release
// whose labels these are. Compose reads it for display only.
const ComposeVersion = "2.40.3"
