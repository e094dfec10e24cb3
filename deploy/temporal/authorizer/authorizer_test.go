package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	querypb "go.temporal.io/api/query/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/api"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"google.golang.org/protobuf/types/known/durationpb"
)

const audience = "temporal.test"

type issuer struct {
	key    *ecdsa.PrivateKey
	mapper authorization.ClaimMapper
}

// newIssuer makes a key, its key set as a file, and the mapper that reads it as the server does.
func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	part := func(n interface{ FillBytes([]byte) []byte }) string {
		return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, 32)))
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	keys := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k","x":%q,"y":%q}]}`, part(key.X), part(key.Y))
	if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIPWAY_CI_JOBS", "ml=repo:acme/screening:environment:promotion")
	cfg := &config.Authorization{Authorizer: ours, ClaimMapper: ours, Audience: audience}
	cfg.JWTKeyProvider.KeySourceURIs = []string{"file://" + file}
	_, mapper, err := access(cfg, log.NewNoopLogger())
	if err != nil {
		t.Fatal(err)
	}
	return issuer{key, mapper}
}

func (i issuer) claims(t *testing.T, members jwt.MapClaims) (*authorization.Claims, error) {
	t.Helper()
	all := jwt.MapClaims{"sub": "someone", "aud": audience, "exp": time.Now().Add(time.Minute).Unix()}
	maps.Copy(all, members)
	for name, value := range all {
		if value == nil {
			delete(all, name)
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	token.Header["kid"] = "k"
	signed, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return i.mapper.GetClaims(&authorization.AuthInfo{AuthToken: "Bearer " + signed, Audience: audience})
}

func start() *workflowservice.StartWorkflowExecutionRequest {
	return &workflowservice.StartWorkflowExecutionRequest{
		Namespace: "ml", WorkflowId: "screening-1", WorkflowType: &commonpb.WorkflowType{Name: promotion},
		TaskQueue:                &taskqueuepb.TaskQueue{Name: "slipway"},
		WorkflowIdReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIdConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
	}
}

func startWith(change func(*workflowservice.StartWorkflowExecutionRequest)) any {
	request := start()
	change(request)
	return request
}

func query(kind string) any {
	return &workflowservice.QueryWorkflowRequest{Query: &querypb.WorkflowQuery{QueryType: kind}}
}

// Who may call what. A call that stands at nobody's is denied to all but admin.
func TestEachPermissionCoversItsCallsAndNoOther(t *testing.T) {
	from := newIssuer(t)
	who := map[string][]any{
		"ci": {"ml:ci"}, "people": {"ml:people"}, "worker": {"ml:worker"}, "read": {"ml:read"}, "admin": {"ml:admin"},
		"none": {}, "elsewhere": {"other:admin"}, "temporal's write": {"ml:write"}, "odd": {"ml", ":admin", 7, "ml:ADMIN", "*:admin"},
	}
	type start_ = workflowservice.StartWorkflowExecutionRequest
	calls := []struct {
		call    string
		request any
		allowed string
	}{
		{"StartWorkflowExecution", start(), "ci admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.WorkflowType.Name = "RolloutWorkflow" }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.WorkflowType.Name = watch }), "worker admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.WorkflowType.Name, r.TaskQueue.Name = watch, "other" }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.WorkflowType.Name = history }), "people admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowType.Name, r.CompletionCallbacks = history, []*commonpb.Callback{{}}
		}), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowType.Name, r.TaskQueue.Name = history, "slipway-rollouts"
		}), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowType.Name, r.WorkflowId = plan, "plan-screening-1"
			r.WorkflowIdReusePolicy, r.WorkflowIdConflictPolicy = 0, 0
		}), "ci people admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.WorkflowType.Name = plan }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowType.Name, r.WorkflowId, r.CronSchedule = plan, "plan-screening-1", "* * * * *"
		}), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowType.Name, r.WorkflowId, r.TaskQueue.Name = plan, "plan-screening-1", "slipway-rollouts"
		}), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.TaskQueue.Name = "slipway-followers" }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowIdConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
		}), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowIdReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
		}), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) {
			r.WorkflowIdReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
		}), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.WorkflowRunTimeout = durationpb.New(time.Minute) }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.CronSchedule = "* * * * *" }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.CompletionCallbacks = []*commonpb.Callback{{}} }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.RequestEagerExecution = true }), "admin"},
		{"StartWorkflowExecution", startWith(func(r *start_) { r.TimeSkippingConfig = &commonpb.TimeSkippingConfig{} }), "admin"},
		{"SignalWithStartWorkflowExecution", nil, "admin"},
		{"ExecuteMultiOperation", nil, "admin"},
		{"StartActivityExecution", nil, "admin"},
		{"StartNexusOperationExecution", nil, "admin"},
		{"StartBatchOperation", nil, "admin"},
		{"CreateSchedule", nil, "admin"},
		{"TerminateWorkflowExecution", nil, "admin"},
		{"ResetWorkflowExecution", nil, "admin"},
		{"DeleteWorkflowExecution", nil, "admin"},
		{"PauseWorkflowExecution", nil, "admin"},
		{"UpdateWorkflowExecutionOptions", nil, "admin"},
		{"UpdateNamespace", nil, "admin"},
		{"UpdateWorkflowExecution", nil, "people admin"},
		{"SignalWorkflowExecution", nil, "people admin"},
		{"RequestCancelWorkflowExecution", nil, "people admin"},
		{"QueryWorkflow", query("status"), "ci people worker read admin"},
		{"QueryWorkflow", query("plan"), "ci people worker read admin"},
		{"QueryWorkflow", query("evidence"), "people worker read admin"},
		{"DescribeWorkflowExecution", nil, "ci people worker read admin"},
		{"ListWorkflowExecutions", nil, "ci people worker read admin"},
		{"GetWorkflowExecutionHistory", nil, "people worker read admin"},
		{"GetWorkflowExecutionHistoryReverse", nil, "people worker read admin"},
		{"PollWorkflowTaskQueue", nil, "worker admin"},
		{"PollActivityTaskQueue", nil, "worker admin"},
		{"RespondActivityTaskCompleted", nil, "worker admin"},
		{"RespondWorkflowTaskCompleted", nil, "worker admin"},
		{"RecordActivityTaskHeartbeat", nil, "worker admin"},
		{"RespondActivityTaskCompletedById", nil, "admin"},
		{"ACallOfALaterServer", nil, ""},
	}
	for _, one := range calls {
		for name, permissions := range who {
			claims, err := from.claims(t, jwt.MapClaims{"sub": name, "permissions": permissions})
			if err != nil {
				t.Fatal(err)
			}
			target := &authorization.CallTarget{APIName: api.WorkflowServicePrefix + one.call, Namespace: "ml", Request: one.request}
			result, err := NewAuthorizer("slipway").Authorize(context.Background(), claims, target)
			if err != nil {
				t.Fatal(err)
			}
			wanted := strings.Contains(" "+one.allowed+" ", " "+name+" ")
			if allowed := result.Decision == authorization.DecisionAllow; allowed != wanted {
				t.Errorf("%s %v by %s: allowed is %v", one.call, one.request, name, allowed)
			}
			if wanted && (result.Principal.GetType() != "jwt" || result.Principal.GetName() != name) {
				t.Errorf("%s by %s: the principal is %v", one.call, name, result.Principal)
			}
			if !wanted && result.Reason == "" {
				t.Errorf("%s by %s: no reason is given", one.call, name)
			}
		}
	}
}

func TestACallWithoutATokenIsDeniedButForHealth(t *testing.T) {
	for call, wanted := range map[string]authorization.Decision{
		api.WorkflowServicePrefix + "GetSystemInfo":             authorization.DecisionAllow,
		api.WorkflowServicePrefix + "ListNamespaces":            authorization.DecisionDeny,
		api.WorkflowServicePrefix + "DescribeWorkflowExecution": authorization.DecisionDeny,
	} {
		for _, claims := range []*authorization.Claims{nil, {}} {
			result, err := NewAuthorizer("slipway").Authorize(context.Background(), claims, &authorization.CallTarget{APIName: call, Namespace: "ml"})
			if err != nil || result.Decision != wanted {
				t.Errorf("%s: %v %v", call, result, err)
			}
		}
	}
}

func TestAnAdminOfANamespaceIsNoneOfTheCluster(t *testing.T) {
	from := newIssuer(t)
	for permission, wanted := range map[string]authorization.Decision{
		"ml:admin":              authorization.DecisionDeny,
		"temporal-system:admin": authorization.DecisionAllow,
	} {
		claims, err := from.claims(t, jwt.MapClaims{"permissions": []any{permission}})
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{api.AdminServicePrefix + "DescribeCluster", api.OperatorServicePrefix + "CreateNexusEndpoint"} {
			result, _ := NewAuthorizer("slipway").Authorize(context.Background(), claims, &authorization.CallTarget{APIName: call})
			if result.Decision != wanted {
				t.Errorf("%s with %s: %v", call, permission, result)
			}
		}
	}
}

func TestAJobOfGitHubStartsPromotionsIfItsSubjectIsListed(t *testing.T) {
	from := newIssuer(t)
	listed := jwt.MapClaims{"iss": github, "sub": "repo:acme/screening:environment:promotion"}
	for name, one := range map[string]struct {
		members jwt.MapClaims
		wanted  authorization.Decision
	}{
		"listed":         {listed, authorization.DecisionAllow},
		"another branch": {jwt.MapClaims{"iss": github, "sub": "repo:acme/screening:ref:refs/heads/x"}, authorization.DecisionDeny},
		"another issuer": {jwt.MapClaims{"iss": "https://idp.test", "sub": listed["sub"]}, authorization.DecisionDeny},
		"permissions of its own": {
			jwt.MapClaims{"iss": github, "sub": "repo:eve/x:ref:refs/heads/main", "permissions": []any{"ml:ci", "temporal-system:admin"}},
			authorization.DecisionDeny,
		},
	} {
		claims, err := from.claims(t, one.members)
		if err != nil {
			t.Fatal(err)
		}
		target := &authorization.CallTarget{APIName: api.WorkflowServicePrefix + "StartWorkflowExecution", Namespace: "ml", Request: start()}
		if result, _ := NewAuthorizer("slipway").Authorize(context.Background(), claims, target); result.Decision != one.wanted {
			t.Errorf("%s: %v", name, result)
		}
		target.APIName = api.WorkflowServicePrefix + "SignalWorkflowExecution"
		if result, _ := NewAuthorizer("slipway").Authorize(context.Background(), claims, target); result.Decision != authorization.DecisionDeny {
			t.Errorf("%s: it may signal", name)
		}
	}
}

func TestJobsThatCannotBeReadStopTheServer(t *testing.T) {
	for _, text := range []string{"repo:acme/x:ref:y", "=repo:acme/x:ref:y", "ml=acme/x", "ml=repo:acme/*"} {
		if jobs, err := ParseJobs(text); err == nil {
			t.Errorf("%s: read as %v", text, jobs)
		}
	}
}

func TestATokenIsRefusedThatDoesNotExpireNameItsOwnerOrIsForSomethingElse(t *testing.T) {
	from, other := newIssuer(t), newIssuer(t)
	for _, members := range []jwt.MapClaims{
		{"exp": nil}, {"exp": 1}, {"sub": nil}, {"sub": ""}, {"aud": "elsewhere"}, {"aud": nil}, {"nbf": time.Now().Add(time.Hour).Unix()},
	} {
		if claims, err := from.claims(t, members); err == nil {
			t.Errorf("%v: taken as %v", members, claims)
		}
	}
	if claims, err := (issuer{other.key, from.mapper}).claims(t, nil); err == nil {
		t.Errorf("signed by another key: taken as %v", claims)
	}
}

func TestAServerThatWouldLetEverybodyInDoesNotStart(t *testing.T) {
	keys := config.JWTKeyProvider{KeySourceURIs: []string{"file:///keys.json"}}
	for _, cfg := range []config.Authorization{
		{},
		{JWTKeyProvider: keys},
		{Authorizer: ours, Audience: audience, JWTKeyProvider: keys},
		{ClaimMapper: ours, Audience: audience, JWTKeyProvider: keys},
		{Authorizer: ours, ClaimMapper: ours, Audience: audience},
		{Authorizer: ours, ClaimMapper: ours, JWTKeyProvider: keys},
		{Authorizer: ours, ClaimMapper: "default", Audience: audience, JWTKeyProvider: keys},
		{Authorizer: "default", ClaimMapper: ours, Audience: audience, JWTKeyProvider: keys},
	} {
		if _, _, err := access(&cfg, log.NewNoopLogger()); err == nil {
			t.Errorf("%+v: it would start", cfg)
		}
	}
}
