// Package spec describes a stack of containers in typed Go and loads stacks of
// any origin into the model that the runner works on.
//
// A [Stack] is made of services, networks, volumes, secrets and configs that
// refer to each other by value. [Postgres], [Redis] and [GoApp] are services with
// good defaults that hand out what others need to reach them:
//
//	db := spec.NewPostgres("db", spec.PostgresOptions{})
//	app := &spec.Service{
//		Name:        "app",
//		Image:       "example/app:1.4",
//		Environment: spec.MergeEnv(db.EnvFor(), spec.Env{"LOG_LEVEL": "debug"}),
//		Secrets:     db.SecretMounts(),
//		DependsOn:   []spec.Dependency{spec.Healthy(db)},
//	}
//	stack := spec.New("shop", db, app)
//
// What has no field is said as in a compose file: under Extra, in the Short
// form of an entry, or as [Interpolated] text. So each compose file has a Go
// program that prints it, which package render/gosource writes.
//
// [Stack.Compose] writes the stack as a compose file that Docker Compose reads
// too, with secrets and ports left as references to variables ([Value]).
// [Stack.Project] goes on to load that text, as [Load] does with the files of
// others: both end in compose-go's *types.Project, checked against the compose
// specification and by [Check]. Faults are reported all at once, as a
// [ValidationError] whose problems each name a place and a mend.
//
// [Main] makes a program of a stack, which `stackctl -f` runs. [Merge] and
// [ReadOutline] read compose files whose variables have no values.
//
// The package runs nothing, prints nothing but in [Main], and reads no
// environment but the one it is given. The loader of compose-go logs to logrus
// when a variable without a default is unset.
package spec
