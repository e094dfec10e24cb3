package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v4"
	"go.temporal.io/server/common/authorization"
)

// Permission is what a token may hold for a namespace, as "slipway:ci" in its claim "permissions".
type Permission string

const (
	// PermissionCI starts promotions, and looks at them.
	PermissionCI Permission = "ci"
	// PermissionPeople decides on promotions: updates and signals, cancellation, and all that reads.
	PermissionPeople Permission = "people"
	// PermissionWorker takes tasks and answers them.
	PermissionWorker Permission = "worker"
	// PermissionRead reads, as a dashboard does.
	PermissionRead Permission = "read"
	// PermissionAdmin does everything in the namespace; for "temporal-system", everywhere.
	PermissionAdmin Permission = "admin"
)

// Grants are a token's permissions by namespace.
type Grants map[string]map[Permission]bool

// Has tells whether the token has a permission.
func (g Grants) Has(namespace string, permission Permission) bool {
	return namespace != "" && g[namespace][permission]
}

// Any tells whether the token has any permission anywhere.
func (g Grants) Any() bool { return len(g) > 0 }

// github issues the tokens of GitHub's jobs. They cannot carry permissions: what a job may do goes by its subject.
const github = "https://token.actions.githubusercontent.com"

// Jobs are the subjects of GitHub's jobs that start promotions, with the namespace that each may start them in.
type Jobs map[string]string

// ParseJobs reads them, as "ml=repo:acme/screening:environment:promotion", with spaces between.
func ParseJobs(text string) (Jobs, error) {
	jobs := Jobs{}
	for _, one := range strings.Fields(text) {
		namespace, subject, found := strings.Cut(one, "=")
		if !found || namespace == "" || !strings.HasPrefix(subject, "repo:") || strings.Contains(subject, "*") {
			return nil, fmt.Errorf("SLIPWAY_CI_JOBS: %q is not <namespace>=repo:<owner>/<repository>:<environment or ref>", one)
		}
		jobs[subject] = namespace
	}
	return jobs, nil
}

type claimMapper struct {
	signed authorization.ClaimMapper
	claim  string
	jobs   Jobs
}

// NewClaimMapper reads Slipway's permissions. Temporal's own mapper, which checks the token's signature, does not know their names.
func NewClaimMapper(signed authorization.ClaimMapper, claim string, jobs Jobs) authorization.ClaimMapper {
	return &claimMapper{signed: signed, claim: cmp.Or(claim, "permissions"), jobs: jobs}
}

// GetClaims gives the token's subject and permissions. A token that never expires is refused, and so is one without a subject.
func (m *claimMapper) GetClaims(info *authorization.AuthInfo) (*authorization.Claims, error) {
	claims, err := m.signed.GetClaims(info)
	if err != nil || info.AuthToken == "" {
		return claims, err
	}
	if claims.Subject == "" {
		return nil, errors.New("the token has no subject")
	}
	// The signature, the audience and the times have just been checked.
	_, token, _ := strings.Cut(info.AuthToken, " ")
	members := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, members); err != nil {
		return nil, err
	}
	if members["exp"] == nil {
		return nil, errors.New("the token never expires")
	}
	if members["iss"] != github {
		claims.Extensions = grants(members[m.claim])
		return claims, nil
	}
	job := &authorization.Claims{Subject: claims.Subject, AuthType: claims.AuthType}
	if namespace, found := m.jobs[claims.Subject]; found {
		job.Extensions = Grants{namespace: {PermissionCI: true}}
	}
	return job, nil
}

func grants(permissions any) Grants {
	granted := Grants{}
	listed, _ := permissions.([]any)
	for _, one := range listed {
		text, _ := one.(string)
		namespace, name, found := strings.Cut(text, ":")
		switch permission := Permission(name); permission {
		case PermissionCI, PermissionPeople, PermissionWorker, PermissionRead, PermissionAdmin:
			if found && namespace != "" {
				if granted[namespace] == nil {
					granted[namespace] = map[Permission]bool{}
				}
				granted[namespace][permission] = true
			}
		}
	}
	return granted
}
