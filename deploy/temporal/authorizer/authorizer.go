package main

import (
	"context"
	"fmt"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/api"
	"go.temporal.io/server/common/authorization"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	promotion = "PromotionWorkflow"
	// watch follows a deployment branch. The worker starts one for each branch of its policy, by itself.
	watch   = "WatchWorkflow"
	history = "HistoryWorkflow"
	// plan says what a promotion would do, and changes nothing. Its ids begin so that none is a promotion's.
	plan       = "PlanWorkflow"
	planPrefix = "plan-"
)

// ciQueries are the queries of CI: where a promotion is, and the answer of a plan.
var ciQueries = map[string]bool{"status": true, "plan": true}

// asked are the members of a start that `slipway start` sends. The others change how a promotion runs: a timeout or a time skip
// ends it without undoing anything, a callback sends its result away, a version override picks the worker's code.
var asked = map[protoreflect.Name]bool{
	"namespace": true, "workflow_id": true, "workflow_type": true, "task_queue": true, "input": true, "identity": true,
	"request_id": true, "workflow_id_reuse_policy": true, "workflow_id_conflict_policy": true, "search_attributes": true,
	"header": true, "user_metadata": true, "priority": true,
}

// byCI, byPeople and byWorker are calls of the WorkflowService that are granted beside those that read.
var (
	byCI     = set("DescribeWorkflowExecution", "DescribeTaskQueue", "ListWorkflowExecutions")
	byPeople = set("UpdateWorkflowExecution", "SignalWorkflowExecution", "RequestCancelWorkflowExecution")
	byWorker = set(
		"PollWorkflowTaskQueue", "RespondWorkflowTaskCompleted", "RespondWorkflowTaskFailed",
		"PollActivityTaskQueue", "RecordActivityTaskHeartbeat", "RespondActivityTaskCompleted", "RespondActivityTaskFailed",
		"RespondActivityTaskCanceled", "RespondQueryTaskCompleted", "ResetStickyTaskQueue", "ShutdownWorker", "RecordWorkerHeartbeat",
	)
	// cluster are the calls without a namespace that the UI and Temporal's command line make; they read.
	cluster = set("GetClusterInfo", "GetSearchAttributes", "ListNamespaces")
)

type authorizer struct {
	taskQueue string
}

// NewAuthorizer tells apart who starts promotions, who decides on them and who carries them out, which Temporal's own roles do not.
func NewAuthorizer(taskQueue string) authorization.Authorizer {
	return &authorizer{taskQueue: taskQueue}
}

// Authorize allows what a permission names. Everything else is denied, also calls that later servers add.
func (a *authorizer) Authorize(
	_ context.Context, claims *authorization.Claims, target *authorization.CallTarget,
) (authorization.Result, error) {
	if authorization.IsHealthCheckAPI(target.APIName) {
		return authorization.Result{Decision: authorization.DecisionAllow}, nil
	}
	if claims == nil {
		return deny("there is no token: set TEMPORAL_API_KEY"), nil
	}
	if reason := a.objection(claims, target); reason != "" {
		return deny(reason), nil
	}
	return authorization.Result{
		Decision:  authorization.DecisionAllow,
		Principal: &commonpb.Principal{Type: claims.AuthType, Name: claims.Subject},
	}, nil
}

// objection is why a call is denied; nothing where it is allowed.
func (a *authorizer) objection(claims *authorization.Claims, target *authorization.CallTarget) string {
	granted, _ := claims.Extensions.(Grants)
	// Temporal's own services come with this role by the internal frontend, and with no token.
	if claims.System&authorization.RoleAdmin != 0 {
		return ""
	}
	metadata := api.GetMethodMetadata(target.APIName)
	has := func(permission Permission) bool { return granted.Has(target.Namespace, permission) }
	call, isWorkflow := strings.CutPrefix(target.APIName, api.WorkflowServicePrefix)
	reads := metadata.Scope == api.ScopeNamespace && metadata.Access == api.AccessReadOnly
	switch {
	case metadata.Scope == api.ScopeNamespace && has(PermissionAdmin):
		return ""
	case isWorkflow && cluster[call] && granted.Any():
		return ""
	case reads && (has(PermissionRead) || has(PermissionPeople) || has(PermissionWorker)):
		return ""
	case isWorkflow && byPeople[call] && has(PermissionPeople), isWorkflow && byWorker[call] && has(PermissionWorker):
		return ""
	case isWorkflow && has(PermissionWorker) && call == "StartWorkflowExecution" && a.startsWatch(target.Request):
		return ""
	case isWorkflow && has(PermissionPeople) && (a.asks(call, target.Request, history, "") || a.asks(call, target.Request, plan, planPrefix)):
		return ""
	case isWorkflow && has(PermissionCI) && a.asks(call, target.Request, plan, planPrefix):
		return ""
	case isWorkflow && has(PermissionCI) && byCI[call]:
		return ""
	case isWorkflow && has(PermissionCI):
		return a.objectionToCI(call, target.Request)
	}
	return fmt.Sprintf("%s has no permission in the namespace %q that covers %s", claims.Subject, target.Namespace, target.APIName)
}

func (a *authorizer) objectionToCI(call string, request any) string {
	switch call {
	case "QueryWorkflow":
		if query, _ := request.(*workflowservice.QueryWorkflowRequest); ciQueries[query.GetQuery().GetQueryType()] {
			return ""
		}
	case "StartWorkflowExecution":
		start, _ := request.(*workflowservice.StartWorkflowExecutionRequest)
		return a.objectionToStart(start)
	}
	return fmt.Sprintf("the permission ci plans and starts promotions and looks at their status; it does not cover %s", call)
}

// startsWatch tells whether a start is that of a watch. What a watch starts is in the worker's answers, as all that it is trusted with.
func (a *authorizer) startsWatch(request any) bool {
	start, _ := request.(*workflowservice.StartWorkflowExecutionRequest)
	return start.GetWorkflowType().GetName() == watch && start.GetTaskQueue().GetName() == a.taskQueue
}

func (a *authorizer) objectionToStart(request *workflowservice.StartWorkflowExecutionRequest) string {
	if kind, queue := request.GetWorkflowType().GetName(), request.GetTaskQueue().GetName(); kind != promotion || queue != a.taskQueue {
		return fmt.Sprintf("the permission ci starts %s on the task queue %s only, not %s on %s", promotion, a.taskQueue, kind, queue)
	}
	if request.GetWorkflowIdReusePolicy() != enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE ||
		request.GetWorkflowIdConflictPolicy() != enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL {
		return "the permission ci starts a promotion once: with the reuse policy RejectDuplicate and the conflict policy Fail"
	}
	if other := otherMember(request); other != "" {
		return fmt.Sprintf("the permission ci starts promotions as `slipway start` does, without %s", other)
	}
	return ""
}

// asks is whether a call starts a workflow that only reads, as `slipway history` and `slipway plan` do.
func (a *authorizer) asks(call string, request any, kind, prefix string) bool {
	start, isStart := request.(*workflowservice.StartWorkflowExecutionRequest)
	return call == "StartWorkflowExecution" && isStart && start.GetWorkflowType().GetName() == kind &&
		strings.HasPrefix(start.GetWorkflowId(), prefix) && start.GetTaskQueue().GetName() == a.taskQueue && otherMember(start) == ""
}

// otherMember is a member of a start that Slipway's commands do not send; empty where there is none.
func otherMember(request *workflowservice.StartWorkflowExecutionRequest) string {
	other := ""
	request.ProtoReflect().Range(func(member protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !asked[member.Name()] {
			other = string(member.Name())
		}
		return other == ""
	})
	return other
}

func deny(reason string) authorization.Result {
	return authorization.Result{Decision: authorization.DecisionDeny, Reason: reason}
}

func set(names ...string) map[string]bool {
	members := make(map[string]bool, len(names))
	for _, name := range names {
		members[name] = true
	}
	return members
}
