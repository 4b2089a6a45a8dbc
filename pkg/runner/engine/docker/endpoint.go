package docker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config"
	clicontext "github.com/docker/cli/cli/context"
	contextdocker "github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/cli/opts"
	"github.com/docker/go-connections/tlsconfig"
)

// defaultContext is the name that stands for "no context".
const defaultContext = "default"

// endpoint is where an engine listens, and who said so.
type endpoint struct {
	host string
	// source is "-H", "DOCKER_HOST", "context NAME" or "default".
	source string
	tls    *tls.Config
}

// isLocal says that the engine shares this machine's ports and files. A
// loopback address may be a tunnel's, so only sockets are sure.
func (e endpoint) isLocal() bool {
	scheme, _, _ := strings.Cut(e.host, "://")
	return scheme == "unix" || scheme == "npipe"
}

// resolveEndpoint decides as the docker command does: --context, -H,
// DOCKER_HOST, DOCKER_CONTEXT, currentContext of config.json, the default
// socket.
func resolveEndpoint(o Options) (endpoint, error) {
	env := func(name string) string { value, _ := o.LookupEnv(name); return value }
	dir := configDir(o)
	name := o.Context
	switch {
	case name != "":
	case o.Host != "":
		return fromAddress(o.Host, "-H", dir, env)
	case env("DOCKER_HOST") != "":
		return fromAddress(env("DOCKER_HOST"), "DOCKER_HOST", dir, env)
	case env("DOCKER_CONTEXT") != "":
		name = env("DOCKER_CONTEXT")
	case dir != "":
		settings, err := config.Load(dir)
		if err != nil {
			return endpoint{}, fmt.Errorf("which engine is meant: %w", err)
		}
		name = settings.CurrentContext
	}
	if name == "" || name == defaultContext {
		return fromAddress("", "default", dir, env)
	}
	ep, err := fromContext(name, dir)
	switch {
	case errdefs.IsNotFound(err):
		return endpoint{}, &reason{fmt.Sprintf("no Docker context is called %q", name), err}
	case err != nil:
		return endpoint{}, fmt.Errorf("context %q: %w", name, err)
	}
	return ep, nil
}

func configDir(o Options) string {
	if o.ConfigDir != "" {
		return o.ConfigDir
	}
	if dir, _ := o.LookupEnv(config.EnvOverrideConfigDir); dir != "" {
		return dir
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if home, _ := o.LookupEnv(name); home != "" {
			return filepath.Join(home, ".docker")
		}
	}
	return ""
}

func fromAddress(address, source, dir string, env func(string) string) (endpoint, error) {
	verify := env("DOCKER_TLS_VERIFY") != ""
	secure := verify || env("DOCKER_TLS") != ""
	host, err := opts.ParseHost(secure, address)
	if err != nil {
		return endpoint{}, fmt.Errorf("engine address %q (from %s): %w", address, source, err)
	}
	ep := endpoint{host: host, source: source}
	if !secure || !strings.HasPrefix(host, "tcp://") {
		return ep, nil
	}
	certs := env("DOCKER_CERT_PATH")
	mustExist := certs != ""
	if certs == "" {
		certs = dir
	}
	files := map[string][]byte{}
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		content, err := os.ReadFile(filepath.Join(certs, name))
		if err != nil && (mustExist || !errors.Is(err, os.ErrNotExist)) {
			return endpoint{}, fmt.Errorf("certificates for the engine at %s: %w", host, err)
		}
		files[name] = content
	}
	ep.tls, err = clientTLS(files["ca.pem"], files["cert.pem"], files["key.pem"], !verify)
	if err != nil {
		return endpoint{}, fmt.Errorf("certificates for the engine at %s: %w", host, err)
	}
	return ep, nil
}

func fromContext(name, dir string) (endpoint, error) {
	if dir == "" {
		return endpoint{}, errors.New("there is no Docker configuration folder to look it up in")
	}
	contexts := store.New(filepath.Join(dir, "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(contextdocker.DockerEndpoint, func() any { return &contextdocker.EndpointMeta{} }),
	))
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return endpoint{}, err
	}
	described, err := contextdocker.EndpointFromContext(meta)
	if err != nil {
		return endpoint{}, err
	}
	ep := endpoint{host: described.Host, source: "context " + name}
	if ep.host == "" {
		if ep.host, err = opts.ParseHost(false, ""); err != nil {
			return endpoint{}, err
		}
	}
	if ep.isLocal() {
		return ep, nil
	}
	material, err := clicontext.LoadTLSData(contexts, name, contextdocker.DockerEndpoint)
	if err != nil {
		return endpoint{}, err
	}
	if material == nil {
		if !described.SkipTLSVerify {
			return ep, nil
		}
		material = &clicontext.TLSData{}
	}
	ep.tls, err = clientTLS(material.CA, material.Cert, material.Key, described.SkipTLSVerify)
	return ep, err
}

// clientTLS makes the TLS side of a connection. Parts that are empty are left
// to the system's defaults.
func clientTLS(ca, cert, key []byte, skipVerify bool) (*tls.Config, error) {
	c := tlsconfig.ClientDefault()
	c.InsecureSkipVerify = skipVerify
	if len(ca) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("ca.pem holds no certificate")
		}
	}
	if len(cert) > 0 || len(key) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert.pem and key.pem: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
