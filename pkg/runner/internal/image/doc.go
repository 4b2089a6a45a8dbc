// Package image builds the images of services, in one of two ways.
//
// With the Go toolchain of this machine: a service says where its program is,
//
//	build:
//	  context: .
//	  dockerfile: webapp/Dockerfile
//	  x-stackctl:
//	    go: ./webapp
//
// and its image is made of the static binary of that package alone, with no
// builder and no base image, so nothing is pulled. It holds to these conventions,
// and reads neither the Dockerfile nor its arguments:
//
//   - the binary is /<last element of the package's path>, the entrypoint;
//   - it runs as user 65532:65532 in /, and is stopped with SIGTERM;
//   - there is nothing else: no shell, no /tmp, no certificates, no time zones.
//
// The same source, with the same toolchain, gives the same image. It has a label
// that digests its content ([state.LabelBuild]); when the image on the engine
// has the same one, nothing is sent. The digest is compared rather than the
// image's id, for what an id is made of differs from one image store to another.
//
// Nor is the same source compiled again: go build would at least link, for it
// finds no binary of before. [Builder.Cache] holds, for each package, what the last
// build read and which layer came out. With that layer the digest of the image is
// known beforehand, so the label says whether the engine has it. Nothing depends on
// what is remembered; when in doubt, the package is built.
//
// Or with the Dockerfile, which the engine builds.
package image
