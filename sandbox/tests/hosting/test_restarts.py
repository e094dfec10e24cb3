"""What a restart makes of endpoints, on the stage and really."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

from slipway_sandbox.testing import SandboxProcess, fresh_account

from sandbox.testkit.hosting import Hosted, push_server

from .conftest import CALLER, Stage, eventually


def restored(stage: Stage) -> None:
    """What a restart makes of the endpoints: saved, read, taken up."""
    rows = pickle.loads(pickle.dumps(stage.endpoints.endpoints.rows))  # noqa: S301  (made here)
    with stage.endpoints.lock:
        stage.endpoints.reset(None)
        stage.endpoints.endpoints.rows.update(rows)
        stage.endpoints.take_up(None)


def test_given_an_endpoint_in_service_when_the_sandbox_starts_anew_then_it_serves_again(stage: Stage) -> None:
    stage.in_service()
    old = stage.fleets.servers["one"]
    restored(stage)
    assert stage.described()["EndpointStatus"] == "InService"
    eventually(lambda: stage.fleets.servers["one"] is not old, "a new fleet")
    endpoint = stage.endpoints.endpoints.get(CALLER, "ep")
    eventually(endpoint.ready.is_set, "a fleet that is ready")
    route = endpoint.router.take()
    assert route is not None
    assert route.server is stage.fleets.servers["one"]


def test_given_an_update_under_way_when_the_sandbox_starts_anew_then_it_is_rolled_back(stage: Stage) -> None:
    stage.in_service()
    stage.canary()
    stage.clock.pass_wait(10)
    stage.reaches_stage("Baking", 25)
    restored(stage)
    served = stage.reaches("InService")
    assert (served["EndpointConfigName"], "rolled back" in served["FailureReason"]) == ("one", True)
    assert "PendingDeploymentSummary" not in served


def test_given_a_creation_under_way_when_the_sandbox_starts_anew_then_it_goes_on(stage: Stage) -> None:
    stage.create()
    restored(stage)
    stage.clock.pass_wait(10)
    stage.reaches("InService")


def test_given_a_deletion_under_way_when_the_sandbox_starts_anew_then_it_ends(stage: Stage) -> None:
    stage.in_service()
    stage.endpoints.delete_endpoint(CALLER, {"EndpointName": "ep"})
    restored(stage)
    stage.clock.pass_wait(5)
    assert "Could not find endpoint" in stage.refused(stage.described)


def test_given_an_endpoint_when_the_sandbox_starts_again_on_its_folder_then_its_containers_answer(tmp_path: Path) -> None:
    account = fresh_account()
    with SandboxProcess(data=tmp_path, time_scale=60, kept=True) as before:
        hosted = Hosted(before, account, push_server(before, account))
        assert hosted.serve("one")["EndpointStatus"] == "InService"
    with SandboxProcess(data=tmp_path, time_scale=60, kept=True) as after:
        runtime = after.client("sagemaker-runtime", account)
        answer = runtime.invoke_endpoint(EndpointName="ep", Body=b"1,2")
        assert json.loads(answer["Body"].read())["model"] == "one"
        assert after.client("sagemaker", account).describe_endpoint(EndpointName="ep")["EndpointStatus"] == "InService"
