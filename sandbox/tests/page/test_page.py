"""What the page shows, and how it keeps itself current."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from slipway_sandbox.testing import SandboxProcess, build_image, push_image

from sandbox.testkit.ecs import TaskDesk
from sandbox.testkit.hosting import Hosted, push_server
from sandbox.testkit.pipelines import PipelineDesk

from .conftest import Browser, Words

SECTIONS = ["endpoints", "pipelines", "jobs", "models", "tasks", "repositories", "alarms", "dials", "calls"]
NASTY = "<script>alert('x')</script>"


def test_given_nothing_when_the_page_is_opened_then_every_section_says_what_to_do(browser: Browser) -> None:
    page = browser.page()
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert page.text.count("aws ") >= 6
    assert f"AWS_ACCESS_KEY_ID={browser.account}" in page.text


def test_given_the_page_when_it_is_opened_then_it_fetches_only_from_the_sandbox_and_has_no_inline_code(browser: Browser) -> None:
    response = browser.get()
    page = Words(response.text)
    loaded = [script["src"] for script in page.all("script")] + [link["href"] for link in page.all("link")]
    assert loaded
    assert all(str(path).startswith("/_sandbox/static/") for path in loaded)
    for path in loaded:
        assert browser.http.get(str(path)).status_code == 200, path
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on") or name == "style"]
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_given_the_page_when_it_is_opened_then_each_field_has_a_label_and_each_id_is_its_own(browser: Browser) -> None:
    page = browser.page()
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {label["for"] for label in page.all("label")}
    fields = [field["id"] for kind in ("input", "select", "textarea") for field in page.all(kind)]
    assert set(fields) <= labels
    for _, attributes in page.elements:
        assert attributes.get("aria-labelledby") in (None, *ids)


def test_given_a_static_file_when_a_path_leads_out_of_their_folder_then_it_is_not_found(browser: Browser) -> None:
    for path in ("..%2Fapp.py", "%2e%2e%2fapp.py", "nothing.css"):
        assert browser.http.get(f"/_sandbox/static/{path}").status_code == 404


def test_given_something_somewhere_when_no_account_is_named_then_the_page_leads_there(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    sandbox.client("ecr", browser.account, "eu-west-1").create_repository(repositoryName="screening")
    led = browser.http.get("/_sandbox/")
    # Other tests may have called since; the page leads to the latest caller.
    assert re.fullmatch(r"/_sandbox/\?account=\d{12}&region=[a-z0-9-]+", led.headers["Location"])
    chosen = browser.http.get("/_sandbox/", params={"place": f"{browser.account}/eu-west-1"})
    assert chosen.headers["Location"] == f"/_sandbox/?account={browser.account}&region=eu-west-1"
    assert f"{browser.account}/eu-west-1" in [option.get("value") for option in browser.page().all("option")]


@pytest.mark.parametrize(("account", "region"), [("1", "us-east-1"), ("x" * 12, "us-east-1"), ("1" * 12, "../../x")])
def test_given_no_account_or_region_when_it_is_asked_for_then_it_is_refused(browser: Browser, account: str, region: str) -> None:
    assert browser.get("view", account=account, region=region).status_code == 422


def test_given_accounts_and_regions_when_one_is_shown_then_nothing_of_the_others_is(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    sandbox.client("ecr", browser.account).create_repository(repositoryName="here")
    sandbox.client("ecr", browser.account, "eu-west-1").create_repository(repositoryName="elsewhere")
    view = browser.view()
    assert [repository["repositoryName"] for repository in view["repositories"]["items"]] == ["here"]
    assert {call["region"] for call in view["calls"]["items"]} == {"us-east-1"}


def test_given_images_when_they_are_shown_then_with_tags_digest_size_and_scan(sandbox: SandboxProcess, browser: Browser) -> None:
    seed = {"account": browser.account, "repository": "screening", "findings": [{"name": "CVE-1", "severity": "HIGH"}]}
    sandbox.control("POST", "ecr/scan-findings", seed)
    settings: dict[str, Any] = {"imageScanningConfiguration": {"scanOnPush": True}, "imageTagMutability": "IMMUTABLE"}
    sandbox.client("ecr", browser.account).create_repository(repositoryName="screening", **settings)
    image = build_image([b""])
    push_image(sandbox, browser.account, "screening", "v1", image)
    view = browser.until(lambda view: "HIGH" in str(view["repositories"]))
    [shown] = view["repositories"]["items"][0]["images"]["items"]
    assert (shown["imageTags"], shown["imageDigest"]) == (["v1"], image.digest)
    text = browser.page().text
    for wanted in (image.digest[:19], "1 high", "COMPLETE", "Immutable tags"):
        assert wanted in text


def test_given_a_task_that_ended_when_it_is_shown_then_with_its_end_and_its_logs(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    desk = TaskDesk(sandbox, browser.account)
    task = desk.finish("echo preparing; exit 3")
    [shown] = browser.view()["tasks"]["items"]
    assert (shown["taskArn"], shown["stopCode"]) == (task["taskArn"], "EssentialContainerExited")
    lines = browser.get("logs", **shown["logs"]["main"])
    assert lines.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert lines.text.endswith("  preparing")
    assert browser.get("logs", {"If-None-Match": lines.headers["ETag"]}, **shown["logs"]["main"]).status_code == 304
    page = browser.page()
    assert "exit 3" in page.text
    assert "Tasks 1 1 failed" in " ".join(page.text.split())
    # Its log is what people look for: it is open once the task is.
    assert ["open" in details for details in page.all("details") if details.get("class") == "log"] == [True]


def test_given_logs_of_a_group_that_is_not_there_when_they_are_asked_for_then_there_are_none(browser: Browser) -> None:
    assert browser.get("logs", group="/nothing", prefix="x").text == "No lines yet."


def test_given_an_execution_when_it_is_shown_then_with_its_graph_states_and_branches(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    desk = PipelineDesk(sandbox, browser.account)
    check = {"Type": "Equals", "LeftValue": 1, "RightValue": 2}
    stop = {"Name": "TooLow", "Type": "Fail", "Arguments": {"ErrorMessage": "below 0.75"}}
    go_on = {"Name": "Enough", "Type": "Fail", "Arguments": {"ErrorMessage": "never"}}
    arguments = {"Conditions": [check], "IfSteps": [go_on], "ElseSteps": [stop]}
    desk.run([{"Name": "Check", "Type": "Condition", "Arguments": arguments}])
    [run] = browser.view()["pipelines"]["items"][0]["executions"]["items"]
    assert run["PipelineExecutionStatus"] == "Failed"
    boxes = {box["name"]: (box["type"], box["status"]) for box in run["graph"]["boxes"]}
    assert boxes == {"Check": ("Condition", "Succeeded"), "Enough": ("Fail", "Not run"), "TooLow": ("Fail", "Failed")}
    arrows = {arrow["target"]: (arrow["label"], arrow["taken"]) for arrow in run["graph"]["arrows"]}
    assert arrows == {"Enough": ("True", False), "TooLow": ("False", True)}
    page = browser.page()
    assert "dag small" in [drawing.get("class") for drawing in page.all("svg")]
    for wanted in ("below 0.75", "Condition · Succeeded", "Fail · Not run", "true", "false"):
        assert wanted in page.text


def test_given_an_update_when_it_shifts_traffic_then_the_page_shows_the_split_and_both_fleets(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    hosted = Hosted(sandbox, browser.account, push_server(sandbox, browser.account))
    hosted.serve("old")
    [resting] = browser.view()["endpoints"]["items"]
    assert resting["traffic"] == [{"fleet": "served", "config": "old", "percent": 100.0}]

    hosted.model("new")
    hosted.update("new", wait=3600)
    hosted.until_canary()
    [shifting] = browser.until(lambda view: view["endpoints"]["items"][0]["traffic"][-1]["percent"] == 25)["endpoints"]["items"]

    assert shifting["traffic"] == [
        {"fleet": "served", "config": "old", "percent": 75.0},
        {"fleet": "pending", "config": "new", "percent": 25.0},
    ]
    page = browser.page()
    widths = [(bar.get("class"), bar.get("width")) for bar in page.all("rect") if bar.get("class") in ("old", "new")]
    assert widths[:2] == [("old", "75.0"), ("new", "25.0")]
    text = " ".join(page.text.split())
    for wanted in ("25 % on new", "old 75 %", "new 25 %", "0.75 / 1", "0.25 / 1"):
        assert wanted in text


def test_given_names_with_markup_when_they_are_shown_then_as_text(sandbox: SandboxProcess, browser: Browser) -> None:
    cloudwatch = sandbox.client("cloudwatch", browser.account)
    periods: dict[str, Any] = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1}
    metric: dict[str, Any] = {"Namespace": NASTY, "MetricName": NASTY, "Statistic": "Sum", **periods}
    cloudwatch.put_metric_alarm(AlarmName=NASTY, ComparisonOperator="GreaterThanThreshold", **metric)
    desk = PipelineDesk(sandbox, browser.account)
    desk.run([{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": NASTY}}])
    for path in ("", "live"):
        response = browser.get(path)
        assert NASTY not in response.text
        assert "&lt;script&gt;" in response.text
        assert all("src" in script for script in Words(response.text).all("script"))
        assert NASTY in Words(response.text).text


def test_given_markup_in_a_log_or_a_place_when_it_is_answered_then_no_browser_takes_it_for_a_page(browser: Browser) -> None:
    assert browser.get("logs", group=NASTY).headers["Content-Type"].startswith("text/plain")
    refused = browser.get("", account=NASTY)
    assert (refused.status_code, refused.headers["Content-Type"]) == (422, "application/json")


def test_given_an_idle_account_when_it_is_asked_for_again_then_nothing_is_sent(sandbox: SandboxProcess, browser: Browser) -> None:
    sandbox.client("ecr", browser.account).create_repository(repositoryName="screening")
    for path in ("", "live", "view"):
        first = browser.get(path)
        again = browser.get(path, {"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_given_an_idle_account_when_a_client_does_something_then_the_page_is_another_one(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    ecr = sandbox.client("ecr", browser.account)
    ecr.create_repository(repositoryName="first")
    known = browser.get("live").headers["ETag"]
    ecr.create_repository(repositoryName="second")
    assert browser.get("live", {"If-None-Match": known}).status_code == 200
    browser.until(lambda view: view["repositories"]["total"] == 2)


def test_given_an_idle_page_when_it_asks_again_then_it_makes_no_call(sandbox: SandboxProcess, browser: Browser) -> None:
    sandbox.client("ecr", browser.account).create_repository(repositoryName="screening")
    for _ in range(3):
        browser.get("live")
    assert sandbox.counts(browser.account) == {"ecr.CreateRepository": 1}


def test_given_a_reset_when_the_page_asks_again_then_what_was_there_is_gone(sandbox: SandboxProcess, browser: Browser) -> None:
    desk = TaskDesk(sandbox, browser.account)
    desk.register(desk.container("true"))
    assert browser.view()["taskDefinitions"]["total"] == 1
    sandbox.reset(browser.account)
    view = browser.view()
    assert (view["taskDefinitions"]["total"], view["repositories"]["total"]) == (0, 0)
    # The same name again is another definition, not the one that was read before.
    again = TaskDesk(sandbox, browser.account)
    again.register(again.container("false"))
    view = browser.until(lambda view: view["taskDefinitions"]["total"] == 1)
    assert view["taskDefinitions"]["items"][0]["containerDefinitions"][0]["command"] == ["sh", "-c", "false"]


def test_given_an_alarm_when_its_state_is_set_on_the_page_then_cloudwatch_has_it(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    cloudwatch = sandbox.client("cloudwatch", browser.account)
    periods: dict[str, Any] = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1, "Statistic": "Sum"}
    metric: dict[str, Any] = {"Namespace": "Mine", "MetricName": "Errors", "ComparisonOperator": "GreaterThanThreshold"}
    cloudwatch.put_metric_alarm(AlarmName="errors", **metric, **periods)
    browser.view()
    setting = {"account": browser.account, "region": "us-east-1", "name": "errors", "state": "ALARM"}
    sandbox.control("POST", "alarms", setting)
    assert cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert browser.view()["alarms"]["items"][0]["StateValue"] == "ALARM"


@pytest.mark.parametrize(
    ("change", "status"), [({"name": "missing"}, 404), ({"state": "FINE"}, 422), ({"account": "1"}, 422), ({"more": 1}, 422)]
)
def test_given_a_wish_that_makes_no_sense_when_an_alarm_is_set_then_it_is_refused(
    browser: Browser, change: dict[str, Any], status: int
) -> None:
    setting = {"account": browser.account, "region": "us-east-1", "name": "errors", "state": "ALARM", **change}
    assert browser.http.post("/_sandbox/alarms", json=setting).status_code == status


def test_given_faults_when_they_are_shown_then_those_of_other_accounts_are_not(sandbox: SandboxProcess, browser: Browser) -> None:
    number = sandbox.plant_fault("ecr", "PutImage", "throttle", account=browser.account)
    other = sandbox.plant_fault("ecr", "PutImage", "throttle", account="999999999999")
    assert [fault["number"] for fault in browser.view()["faults"]] == [number]
    assert f"DELETE faults/{number}" in [button.get("data-send") for button in browser.page().all("button")]
    sandbox.remove_fault(number)
    sandbox.remove_fault(other)


def test_given_rooms_with_dials_when_the_page_is_opened_then_each_has_a_form(browser: Browser) -> None:
    forms = [form.get("data-send") for form in browser.page().all("form")]
    assert {"POST faults", "POST clock", "POST clock/advance", "POST ecr/expire-tokens", "POST ecr/scan-findings"} <= set(forms)


def test_given_calls_when_they_are_shown_then_the_latest_first_with_their_errors(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    ecr = sandbox.client("ecr", browser.account)
    ecr.create_repository(repositoryName="screening")
    with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName="screening")
    calls = browser.view()["calls"]
    assert [call["error"] for call in calls["items"]] == ["RepositoryAlreadyExistsException", None]
    assert (calls["total"], calls["failed"]) == (2, 1)
    text = browser.page().text
    repository = f"arn:aws:ecr:us-east-1:{browser.account}:repository/screening"
    for wanted in (
        "RepositoryAlreadyExistsException",
        "ecr:CreateRepository",
        repository,
        f"arn:aws:iam::{browser.account}:root",
    ):
        assert wanted in text


def test_given_another_site_when_it_plants_a_fault_by_a_persons_browser_then_it_is_refused(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    fault = {"service": "ecr", "operation": "PutImage", "kind": "throttle", "account": browser.account}
    for path in ("faults", "sagemaker/dials", "reset"):
        answer = httpx.post(f"{sandbox.endpoint}/_sandbox/{path}", json=fault, headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403, path
    assert browser.view()["faults"] == []


def test_given_more_alarms_than_are_shown_when_they_are_listed_then_the_latest_and_how_many_there_are(
    sandbox: SandboxProcess, browser: Browser
) -> None:
    cloudwatch = sandbox.client("cloudwatch", browser.account)
    metric: dict[str, Any] = {"Namespace": "Mine", "MetricName": "Errors", "ComparisonOperator": "GreaterThanThreshold"}
    periods: dict[str, Any] = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1, "Statistic": "Sum"}
    periods["TreatMissingData"] = "ignore"  # no state changes
    for number in range(55):
        cloudwatch.put_metric_alarm(AlarmName=f"alarm-{number:02d}", **metric, **periods)
    shown = browser.view()["alarms"]
    assert (len(shown["items"]), shown["total"], shown["items"][0]["AlarmName"]) == (50, 55, "alarm-54")
    assert "The latest 50 of 55." in browser.page().text
