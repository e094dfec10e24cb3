"""What is known of the traffic: metrics, shadows, alarms."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slipway_sandbox.testing import SandboxProcess, wait_until

from sandbox.testkit.contract import behaviour
from sandbox.testkit.hosting import ROLE, Hosted

TWO_PERIODS = 2.0
"""Real seconds: a minute is one here."""


def test_given_invocations_when_cloudwatch_is_asked_then_it_counted_them(hosted: Hosted) -> None:
    hosted.serve("one")
    for _ in range(3):
        hosted.ask()
    wait_until(lambda: hosted.metric("Invocations") == 3, "three invocations in CloudWatch")


def test_given_invocations_when_metric_data_are_asked_for_then_a_fleets_counts_and_percentiles_are_told(hosted: Hosted) -> None:
    hosted.serve("one")
    for _ in range(3):
        hosted.ask()
    config = hosted.sagemaker.describe_endpoint(EndpointName="ep")["EndpointConfigName"]
    named = {"EndpointName": "ep", "VariantName": "AllTraffic", "EndpointConfigName": config}
    dimensions = [{"Name": name, "Value": value} for name, value in named.items()]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency", "Dimensions": dimensions}
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
    queries = [
        {"Id": name.lower(), "MetricStat": {"Metric": metric, "Period": 600, "Stat": name}}
        for name in ("SampleCount", "Minimum", "Maximum", "p90")
    ]

    def told() -> dict[str, float]:
        answer = hosted.cloudwatch.get_metric_data(
            StartTime=start, EndTime=start + timedelta(minutes=9), MetricDataQueries=queries
        )
        return {result["Id"]: result["Values"][0] for result in answer["MetricDataResults"] if result["Values"]}

    wait_until(lambda: told().get("samplecount") == 3, "three invocations in CloudWatch")
    found = told()
    assert found["minimum"] <= found["p90"] <= found["maximum"]


def test_given_a_shadow_variant_when_requests_come_then_it_gets_copies_and_nobody_sees_its_answers(hosted: Hosted) -> None:
    for name in ("main", "shadow"):
        hosted.sagemaker.create_model(ModelName=name, PrimaryContainer=hosted.container(name), ExecutionRoleArn=ROLE)
    sized = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    shadow = {"VariantName": "Shadow", "ModelName": "shadow", "InitialVariantWeight": 0.5, **sized}
    hosted.config("shadowed", "main", ShadowProductionVariants=[shadow])
    shown = hosted.create("shadowed")
    assert [variant["VariantName"] for variant in shown["ShadowProductionVariants"]] == ["Shadow"]
    assert {hosted.ask()["said"]["model"] for _ in range(4)} == {"main"}
    wait_until(lambda: hosted.metric("Invocations", "Shadow") == 2, "two copies in CloudWatch")


def test_given_a_data_capture_when_the_endpoint_is_described_then_it_is_shown(hosted: Hosted) -> None:
    hosted.sagemaker.create_model(ModelName="one", PrimaryContainer=hosted.container("one"), ExecutionRoleArn=ROLE)
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": f"s3://{hosted.bucket}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }
    hosted.config("captured", "one", DataCaptureConfig=capture)
    shown = hosted.create("captured")["DataCaptureConfig"]
    assert (shown["CaptureStatus"], shown["CurrentSamplingPercentage"]) == ("Started", 50)


@behaviour(
    "Around an endpoint",
    "metrics",
    like="Invocations, InvocationsPerInstance, Invocation4XXErrors, Invocation5XXErrors, InvocationModelErrors, ModelLatency and "
    "OverheadLatency, by endpoint and variant, and by EndpointConfigName too",
    differs="no metrics of instances; CloudWatch lists only the series with EndpointConfigName, and answers with it where that "
    "is not named, but for GetMetricData, which has to name it; percentiles in GetMetricData alone",
)
@behaviour(
    "Around an endpoint",
    "alarms",
    like="metric alarms on AWS/SageMaker, of one fleet (EndpointConfigName) too, and on clients' own metrics: statistics, "
    "percentiles, trimmed means, M of N, missing data, metric math of operators, IF, FILL, SUM, AVG, MIN and MAX; composite "
    "alarms over any; their history; `CloudWatch Alarm State Change` events, also for a state that was set by hand",
    differs="a period slides, and lasts at least 1 s of real time; a client's value counts when it comes, whatever its "
    "timestamp, and one datum as at most 1,000 samples; a state set by SetAlarmState stays until the metric changes its mind; "
    "alarms of AWS's other namespaces and anomaly bands are not evaluated; no alarm actions; DescribeAlarmHistory tells an "
    "alarm's making and states, not its configuration",
)
def test_given_an_alarm_on_one_fleet_by_metric_math_when_it_errs_then_cloudwatch_and_eventbridge_say_so(hosted: Hosted) -> None:
    hosted.serve("errs", status=500)
    dimensions = [
        {"Name": "EndpointName", "Value": "ep"},
        {"Name": "VariantName", "Value": "AllTraffic"},
        {"Name": "EndpointConfigName", "Value": "errs"},
    ]
    metrics = [
        {
            "Id": name,
            "ReturnData": False,
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions},
                "Period": 600,
                "Stat": "Sum",
            },
        }
        for name, metric in (("e", "Invocation5XXErrors"), ("n", "Invocations"))
    ]
    hosted.cloudwatch.put_metric_alarm(
        AlarmName="rate",
        Metrics=[*metrics, {"Id": "rate", "Expression": "100 * e / n", "ReturnData": True}],
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanThreshold",
    )

    def state() -> str:
        return hosted.cloudwatch.describe_alarms(AlarmNames=["rate"])["MetricAlarms"][0]["StateValue"]

    hosted.cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule='ALARM("rate") AND NOT ALARM("maintenance")')

    def composite() -> str:
        alarms = hosted.cloudwatch.describe_alarms(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return alarms[0]["StateValue"]

    wait_until(lambda: state() == "INSUFFICIENT_DATA", "an alarm without data")
    wait_until(lambda: composite() == "OK", "a composite alarm that is not in alarm")
    assert hosted.outcome() == "ModelError"
    wait_until(lambda: state() == "ALARM", "the alarm")
    wait_until(lambda: composite() == "ALARM", "the composite alarm")
    history = hosted.cloudwatch.describe_alarm_history(AlarmName="both", AlarmTypes=["CompositeAlarm"])["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in history] == ["Alarm updated from OK to ALARM", 'Alarm "both" created']
    assert json.loads(history[0]["HistoryData"])["newState"]["stateValue"] == "ALARM"


def put_alarm(cloudwatch: Any, statistic: str, threshold: float) -> None:
    """An alarm on a client's own metric, of one period of a minute."""
    cloudwatch.put_metric_alarm(
        AlarmName="drift",
        Namespace="Acme/Models",
        MetricName="Drift",
        Dimensions=[{"Name": "Model", "Value": "delivery"}],
        Statistic=statistic,
        Period=60,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanThreshold",
    )


def alarm_of(cloudwatch: Any) -> dict[str, Any]:
    """The alarm, as DescribeAlarms shows it."""
    return cloudwatch.describe_alarms(AlarmNames=["drift"])["MetricAlarms"][0]


MINUTE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
"""Long ago: clients round timestamps down to minutes, of which many pass here in a second of theirs."""


@pytest.mark.parametrize(
    ("statistic", "threshold", "datum"),
    [
        ("Maximum", 0.5, {"Value": 0.9}),
        ("Maximum", 0.5, {"Value": 0.9, "Timestamp": MINUTE}),
        ("SampleCount", 4.5, {"Values": [1.0, 2.0], "Counts": [2.0, 3.0]}),
        ("Average", 2.5, {"StatisticValues": {"SampleCount": 4, "Sum": 12.0, "Minimum": 1.0, "Maximum": 5.0}}),
    ],
    ids=["value", "timestamp", "counts", "statistics"],
)
def test_given_an_alarm_on_a_clients_own_metric_when_a_value_is_put_then_it_is_in_alarm_within_two_periods(
    sandbox: SandboxProcess, account: str, statistic: str, threshold: float, datum: dict[str, Any]
) -> None:
    cloudwatch = sandbox.client("cloudwatch", account)
    put_alarm(cloudwatch, statistic, threshold)
    wait_until(lambda: alarm_of(cloudwatch)["StateValue"] == "INSUFFICIENT_DATA", "an alarm without data")
    told = {"MetricName": "Drift", "Dimensions": [{"Name": "Model", "Value": "delivery"}], **datum}

    cloudwatch.put_metric_data(Namespace="Acme/Models", MetricData=[told])

    wait_until(lambda: alarm_of(cloudwatch)["StateValue"] == "ALARM", "the alarm", timeout=TWO_PERIODS)


def test_given_an_alarm_on_a_clients_own_metric_when_another_dimension_is_put_then_it_has_no_data(
    sandbox: SandboxProcess, account: str
) -> None:
    cloudwatch = sandbox.client("cloudwatch", account)
    put_alarm(cloudwatch, "Maximum", 0.5)
    other = {"MetricName": "Drift", "Dimensions": [{"Name": "Model", "Value": "another"}], "Value": 0.9}

    cloudwatch.put_metric_data(Namespace="Acme/Models", MetricData=[other])

    wait_until(lambda: alarm_of(cloudwatch)["StateValue"] == "INSUFFICIENT_DATA", "an alarm without data")
