// Temporal's server with Slipway's authorizer, in the place of temporal-server. Its configuration is Temporal's own.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	_ "time/tzdata"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/temporal"
)

// ours is the name of the authorizer and the claim mapper of this program, in the server's configuration.
const ours = "slipway"

func main() {
	if len(os.Args) != 2 || os.Args[1] != "start" {
		fmt.Fprintln(os.Stderr, "usage: temporal-server start   (its configuration: TEMPORAL_SERVER_CONFIG_FILE_PATH)")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-server:", err)
		os.Exit(1)
	}
}

func run() error {
	file := os.Getenv(config.EnvKeyConfigFile)
	if file == "" {
		return fmt.Errorf("set %s to the server's configuration, as server.yaml", config.EnvKeyConfigFile)
	}
	cfg, err := config.Load(config.WithConfigFile(file))
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	logger := log.NewZapLogger(log.BuildZapLogger(cfg.Log))
	authorizer, mapper, err := access(&cfg.Global.Authorization, logger)
	if err != nil {
		return fmt.Errorf("reading the authorization in %s: %w", file, err)
	}
	server, err := temporal.NewServer(
		temporal.ForServices(slices.Sorted(maps.Keys(cfg.Services))),
		temporal.WithConfig(cfg),
		temporal.WithLogger(logger),
		temporal.InterruptOn(temporal.InterruptCh()),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return mapper }),
		temporal.WithAudienceGetter(func(*config.Config) authorization.JWTAudienceMapper {
			return authorization.NewAudienceMapper(cfg.Global.Authorization.Audience)
		}),
	)
	if err != nil {
		return fmt.Errorf("making the server: %w", err)
	}
	return server.Start()
}

// access is who decides. A server that would let everybody in, or take tokens that are for something else, does not start.
func access(cfg *config.Authorization, logger log.Logger) (authorization.Authorizer, authorization.ClaimMapper, error) {
	switch {
	case cfg.Authorizer == "" || cfg.ClaimMapper == "":
		return nil, nil, errors.New("set authorizer and claimMapper to slipway: without them everybody may do everything")
	case strings.TrimSpace(cfg.Audience) == "":
		return nil, nil, errors.New("set the audience that tokens for this server name (TEMPORAL_JWT_AUDIENCE)")
	case !cfg.JWTKeyProvider.HasSourceURIsConfigured():
		return nil, nil, errors.New("set the key set of who issues the tokens, https:// or file:// (TEMPORAL_JWT_KEY_SOURCE)")
	}
	if cfg.Authorizer == ours && cfg.ClaimMapper == ours {
		jobs, err := ParseJobs(os.Getenv("SLIPWAY_CI_JOBS"))
		if err != nil {
			return nil, nil, err
		}
		signed := authorization.NewDefaultJWTClaimMapper(authorization.NewDefaultTokenKeyProvider(cfg, logger), cfg, logger)
		queue := cmp.Or(os.Getenv("SLIPWAY_TASK_QUEUE"), "slipway")
		return NewAuthorizer(queue), NewClaimMapper(signed, cfg.PermissionsClaimName, jobs), nil
	}
	authorizer, err := authorization.GetAuthorizerFromConfig(cfg)
	if err != nil {
		return nil, nil, err
	}
	mapper, err := authorization.GetClaimMapperFromConfig(cfg, logger)
	return authorizer, mapper, err
}
