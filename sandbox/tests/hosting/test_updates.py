"""Updates of endpoints whose containers really run."""

from __future__ import annotations

import threading
from collections import Counter

from sandbox.testkit.hosting import Hosted


def test_given_a_canary_of_a_quarter_when_it_is_watched_then_a_quarter_of_the_requests_reaches_it(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    hosted.update("two", wait=150, bake=30)
    hosted.until_canary()
    assert Counter(hosted.ask()["said"]["model"] for _ in range(20)) == {"one": 15, "two": 5}
    assert hosted.until_in_service()["EndpointConfigName"] == "two"
    assert hosted.ask()["said"]["model"] == "two"


def test_given_requests_without_pause_when_an_endpoint_is_updated_then_none_is_lost(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    seen: Counter[str] = Counter()
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            seen[hosted.outcome()] += 1

    clients = [threading.Thread(target=keep_asking) for _ in range(3)]
    for client in clients:
        client.start()
    hosted.update("two", wait=60)
    hosted.until_in_service()
    over.set()
    for client in clients:
        client.join()
    assert set(seen) == {"one", "two"}


def test_given_a_canary_that_errs_when_its_alarm_trips_then_the_old_model_serves_again(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("errs", status=500)
    dimensions = [{"Name": "EndpointName", "Value": "ep"}, {"Name": "VariantName", "Value": "AllTraffic"}]
    hosted.cloudwatch.put_metric_alarm(
        AlarmName="ep-5xx",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=dimensions,
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.1,
        ComparisonOperator="GreaterThanThreshold",
    )
    hosted.update("errs", wait=1800, alarm="ep-5xx")
    hosted.until_canary()
    assert "ModelError" in [hosted.outcome() for _ in range(4)]
    shown = hosted.until_in_service()
    assert shown["EndpointConfigName"] == "one"
    assert "ep-5xx" in shown["FailureReason"]
    assert {hosted.ask()["said"]["model"] for _ in range(4)} == {"one"}


def test_given_an_update_to_a_container_that_exits_when_it_ends_then_the_old_model_serves(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("broken", exits=True)
    hosted.update("broken")
    shown = hosted.until_in_service()
    assert (shown["EndpointConfigName"], "ping health check" in shown["FailureReason"]) == ("one", True)
    assert hosted.ask()["said"]["model"] == "one"


def test_given_a_dial_for_a_silent_rollback_when_an_endpoint_is_updated_then_the_old_configuration_stays(hosted: Hosted) -> None:
    hosted.serve("one")
    hosted.model("two")
    set_dials = {"account": hosted.account}
    for _ in range(2):
        hosted.sandbox.control("POST", "sagemaker/dials", {"endpoint": "ep", "kind": "capacity", **set_dials})
        assert set_dials.items() <= hosted.sandbox.control("GET", "sagemaker/dials")["dials"][-1].items()
    hosted.sandbox.control("DELETE", "sagemaker/dials", query=set_dials)
    hosted.sandbox.control("POST", "sagemaker/dials", {"endpoint": "ep", "kind": "rollback", **set_dials})
    hosted.update("two")
    shown = hosted.until_in_service()
    assert shown["EndpointConfigName"] == "one"
    assert "FailureReason" not in shown
