// Package safety knows what is unsafe in a stack that is valid all the same: a
// container that can do what the host can, a secret where everybody reads it, a
// database on the network. It is one table of rules over compose-go's Project; one of them
// looks into the folders that images are built from. It says
// nothing of how an image is made inside, and finds nothing that is right more often
// than it is wrong.
//
// A finding can be allowed where it is meant, under x-stackctl of the service or, for
// all services, of the file:
//
//	x-stackctl:
//	  allow:
//	    docker-socket: it is the reverse proxy
//
// with a reason for whoever reads it later, or as a list without reasons.
package safety
