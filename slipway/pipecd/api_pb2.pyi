from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeploymentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEPLOYMENT_PENDING: _ClassVar[DeploymentStatus]
    DEPLOYMENT_PLANNED: _ClassVar[DeploymentStatus]
    DEPLOYMENT_RUNNING: _ClassVar[DeploymentStatus]
    DEPLOYMENT_ROLLING_BACK: _ClassVar[DeploymentStatus]
    DEPLOYMENT_SUCCESS: _ClassVar[DeploymentStatus]
    DEPLOYMENT_FAILURE: _ClassVar[DeploymentStatus]
    DEPLOYMENT_CANCELLED: _ClassVar[DeploymentStatus]
DEPLOYMENT_PENDING: DeploymentStatus
DEPLOYMENT_PLANNED: DeploymentStatus
DEPLOYMENT_RUNNING: DeploymentStatus
DEPLOYMENT_ROLLING_BACK: DeploymentStatus
DEPLOYMENT_SUCCESS: DeploymentStatus
DEPLOYMENT_FAILURE: DeploymentStatus
DEPLOYMENT_CANCELLED: DeploymentStatus

class ListApplicationsRequest(_message.Message):
    __slots__ = ("name", "disabled", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    disabled: bool
    limit: int
    def __init__(self, name: _Optional[str] = ..., disabled: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class ListApplicationsResponse(_message.Message):
    __slots__ = ("applications",)
    APPLICATIONS_FIELD_NUMBER: _ClassVar[int]
    applications: _containers.RepeatedCompositeFieldContainer[Application]
    def __init__(self, applications: _Optional[_Iterable[_Union[Application, _Mapping]]] = ...) -> None: ...

class ListDeploymentsRequest(_message.Message):
    __slots__ = ("application_ids", "limit")
    APPLICATION_IDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    application_ids: _containers.RepeatedScalarFieldContainer[str]
    limit: int
    def __init__(self, application_ids: _Optional[_Iterable[str]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListDeploymentsResponse(_message.Message):
    __slots__ = ("deployments",)
    DEPLOYMENTS_FIELD_NUMBER: _ClassVar[int]
    deployments: _containers.RepeatedCompositeFieldContainer[Deployment]
    def __init__(self, deployments: _Optional[_Iterable[_Union[Deployment, _Mapping]]] = ...) -> None: ...

class ListStageLogsRequest(_message.Message):
    __slots__ = ("deployment_id",)
    DEPLOYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    deployment_id: str
    def __init__(self, deployment_id: _Optional[str] = ...) -> None: ...

class ListStageLogsResponse(_message.Message):
    __slots__ = ("stage_logs",)
    class StageLogsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: StageLog
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[StageLog, _Mapping]] = ...) -> None: ...
    STAGE_LOGS_FIELD_NUMBER: _ClassVar[int]
    stage_logs: _containers.MessageMap[str, StageLog]
    def __init__(self, stage_logs: _Optional[_Mapping[str, StageLog]] = ...) -> None: ...

class StageLog(_message.Message):
    __slots__ = ("blocks",)
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedCompositeFieldContainer[LogBlock]
    def __init__(self, blocks: _Optional[_Iterable[_Union[LogBlock, _Mapping]]] = ...) -> None: ...

class LogBlock(_message.Message):
    __slots__ = ("log", "severity", "created_at")
    LOG_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    log: str
    severity: int
    created_at: int
    def __init__(self, log: _Optional[str] = ..., severity: _Optional[int] = ..., created_at: _Optional[int] = ...) -> None: ...

class Application(_message.Message):
    __slots__ = ("id", "name", "git_path", "sync_state", "disabled")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GIT_PATH_FIELD_NUMBER: _ClassVar[int]
    SYNC_STATE_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    git_path: GitPath
    sync_state: SyncState
    disabled: bool
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., git_path: _Optional[_Union[GitPath, _Mapping]] = ..., sync_state: _Optional[_Union[SyncState, _Mapping]] = ..., disabled: _Optional[bool] = ...) -> None: ...

class GitPath(_message.Message):
    __slots__ = ("repo", "path", "config_filename")
    REPO_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FILENAME_FIELD_NUMBER: _ClassVar[int]
    repo: GitRepository
    path: str
    config_filename: str
    def __init__(self, repo: _Optional[_Union[GitRepository, _Mapping]] = ..., path: _Optional[str] = ..., config_filename: _Optional[str] = ...) -> None: ...

class GitRepository(_message.Message):
    __slots__ = ("remote", "branch")
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    remote: str
    branch: str
    def __init__(self, remote: _Optional[str] = ..., branch: _Optional[str] = ...) -> None: ...

class SyncState(_message.Message):
    __slots__ = ("status", "short_reason", "reason")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SHORT_REASON_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    status: int
    short_reason: str
    reason: str
    def __init__(self, status: _Optional[int] = ..., short_reason: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Deployment(_message.Message):
    __slots__ = ("id", "application_id", "trigger", "status", "status_reason", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_ID_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    application_id: str
    trigger: Trigger
    status: DeploymentStatus
    status_reason: str
    created_at: int
    def __init__(self, id: _Optional[str] = ..., application_id: _Optional[str] = ..., trigger: _Optional[_Union[Trigger, _Mapping]] = ..., status: _Optional[_Union[DeploymentStatus, str]] = ..., status_reason: _Optional[str] = ..., created_at: _Optional[int] = ...) -> None: ...

class Trigger(_message.Message):
    __slots__ = ("commit",)
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    commit: Commit
    def __init__(self, commit: _Optional[_Union[Commit, _Mapping]] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("hash",)
    HASH_FIELD_NUMBER: _ClassVar[int]
    hash: str
    def __init__(self, hash: _Optional[str] = ...) -> None: ...
