package safety

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
)

// What is a database, a cache or a queue: by the last part of its image's name, by its
// program, by its port.
var (
	databaseImages = []string{
		"postgres", "postgresql", "postgis", "timescaledb", "pgvector", "pgbouncer", "mysql", "mysql-server", "mariadb",
		"percona", "percona-server", "mssql", "server-mssql", "oracle-free", "oracle-xe", "cockroach", "tidb",
		"redis", "redis-stack", "redis-stack-server", "valkey", "keydb", "dragonfly", "memcached",
		"mongo", "mongodb", "mongodb-community-server", "couchdb", "couchbase", "cassandra", "scylla", "arangodb", "neo4j",
		"elasticsearch", "opensearch", "solr", "meilisearch", "clickhouse", "clickhouse-server", "influxdb",
		"rabbitmq", "etcd", "zookeeper",
	}
	databasePrograms = []string{
		"postgres", "mysqld", "mariadbd", "redis-server", "valkey-server", "keydb-server", "dragonfly", "memcached",
		"mongod", "mongos", "rabbitmq-server", "etcd", "cassandra", "clickhouse-server", "influxd", "couchdb",
	}
	databasePorts = []uint32{
		1433, 1521, 2181, 2379, 2380, 3306, 5432, 5672, 5984, 6379, 6432, 9042, 9200, 9300, 11211, 26379, 27017, 27018, 27019, 33060,
	}
)

func exposedDatabase(s *look) {
	if s.service.NetworkMode == "host" {
		return // the engine publishes nothing then, and another rule speaks of it
	}
	known := isDatabase(s.service)
	for i, port := range s.service.Ports {
		if isLoopback(port.HostIP) || !known && !slices.Contains(databasePorts, port.Target) {
			continue
		}
		on := "all addresses of the host"
		if ip, err := netip.ParseAddr(port.HostIP); err == nil && !ip.IsUnspecified() {
			on = port.HostIP
		}
		s.found(".ports["+strconv.Itoa(i)+"]", "publishes port %d of a database on %s", port.Target, on)
		if port.Published != "" {
			s.instead(`remove it, since services reach each other without; or publish it as "127.0.0.1:%s:%d"`, port.Published, port.Target)
		}
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func isDatabase(s types.ServiceConfig) bool {
	if named, err := reference.ParseNormalizedNamed(s.Image); err == nil &&
		slices.Contains(databaseImages, path.Base(reference.Path(named))) {
		return true
	}
	for _, line := range []types.ShellCommand{s.Entrypoint, s.Command} {
		if len(line) > 0 && slices.Contains(databasePrograms, path.Base(line[0])) {
			return true
		}
	}
	return false
}

func latestTag(s *look) {
	if s.service.Image == "" || s.service.Build != nil || s.built[s.service.Image] {
		return
	}
	named, err := reference.ParseNormalizedNamed(s.service.Image)
	if err != nil {
		return // spec.Check says so
	}
	tagged, hasTag := named.(reference.Tagged)
	_, hasDigest := named.(reference.Digested)
	switch {
	case hasDigest:
	case !hasTag:
		s.found(".image", "%s has no tag, so what runs depends on when it was pulled", s.service.Image)
		s.instead("name the version: %s:VERSION", s.service.Image)
	case tagged.Tag() == "latest":
		s.found(".image", "%s is another image after each release", s.service.Image)
		s.instead("name the version: %s:VERSION", strings.TrimSuffix(s.service.Image, ":latest"))
	}
}
