"""Endpoints, with how their traffic is split now and what each fleet answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from slipway_sandbox.control.page.reader import Reader, latest

NAMESPACE = "AWS/SageMaker"
WINDOW = timedelta(hours=1)
"""How far back invocations are counted."""
MEASURED = {"Invocations": "Sum", "Invocation4XXErrors": "Sum", "Invocation5XXErrors": "Sum", "ModelLatency": "Average"}
MOST_QUERIES = 500
"""CloudWatch's limit for one GetMetricData."""
GOING = frozenset({"Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"})
Series = tuple[str, str, str]
"""Endpoint, variant, configuration."""


def endpoints(reader: Reader) -> dict[str, Any]:
    """The endpoints that changed last, described, with variants, traffic and invocations."""
    found, more = reader.listed("sagemaker", "ListEndpoints", "Endpoints")
    shown = latest(found, "LastModifiedTime", more=more)
    described = [describe(reader, summary) for summary in shown["items"]]
    measured = invocations(reader, {endpoint["EndpointName"] for endpoint in described})
    shown["items"] = [
        {**endpoint, "traffic": traffic_of(endpoint), "invocations": invocations_of(endpoint["EndpointName"], measured)}
        for endpoint in described
    ]
    return shown


def describe(reader: Reader, summary: dict[str, Any]) -> dict[str, Any]:
    """DescribeEndpoint with its configuration; asked once for one that rests."""

    def ask() -> dict[str, Any]:
        endpoint = reader.ask("sagemaker", "DescribeEndpoint", EndpointName=summary["EndpointName"]) or summary
        config = endpoint.get("EndpointConfigName")
        return {
            **endpoint,
            "config": reader.ask("sagemaker", "DescribeEndpointConfig", EndpointConfigName=config) if config else {},
        }

    if summary["EndpointStatus"] in GOING:
        return ask()
    return reader.memory.get((summary["EndpointArn"], summary["EndpointStatus"], summary["LastModifiedTime"]), ask)


def traffic_of(endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """The fleets that take traffic, the one served until now first, each with its share in percent.

    While an update shifts traffic, a variant's CurrentWeight is its DesiredWeight times the share of its fleet. Otherwise there
    is one fleet, and DesiredWeight may be another one only because it is on its way.
    """
    pending = endpoint.get("PendingDeploymentSummary")
    if not pending:
        serves = weight_of(endpoint, "CurrentWeight") > 0
        return [{"fleet": "served", "config": endpoint.get("EndpointConfigName"), "percent": 100.0 if serves else 0.0}]
    return [
        {"fleet": name, "config": fleet.get("EndpointConfigName"), "percent": percent_of(fleet)}
        for name, fleet in (("served", endpoint), ("pending", pending))
    ]


def percent_of(fleet: dict[str, Any]) -> float:
    """A fleet's share of the traffic while it shifts."""
    wanted = weight_of(fleet, "DesiredWeight")
    return round(100 * weight_of(fleet, "CurrentWeight") / wanted, 1) if wanted else 0.0


def weight_of(fleet: dict[str, Any], kind: str) -> float:
    """The weights of a fleet's variants together."""
    variants: list[dict[str, Any]] = fleet.get("ProductionVariants") or []
    return sum(variant.get(kind, 0.0) for variant in variants)


def invocations(reader: Reader, names: set[str]) -> dict[Series, dict[str, float]]:
    """What CloudWatch has of the last hour, by endpoint, variant and configuration."""
    metrics, _ = reader.listed("cloudwatch", "ListMetrics", "Metrics", Namespace=NAMESPACE)
    series: dict[str, tuple[Series, str]] = {}
    queries: list[dict[str, Any]] = []
    for metric in metrics:
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
        name = metric["MetricName"]
        if name not in MEASURED or dimensions.get("EndpointName") not in names or "EndpointConfigName" not in dimensions:
            continue
        number = f"m{len(queries)}"
        key = (dimensions["EndpointName"], dimensions["VariantName"], dimensions["EndpointConfigName"])
        series[number] = (key, name)
        stat = {"Metric": metric, "Period": int(WINDOW.total_seconds()), "Stat": MEASURED[name]}
        queries.append({"Id": number, "MetricStat": stat})
    if not queries:
        return {}
    now = datetime.now(UTC)
    window = {"StartTime": now - WINDOW, "EndTime": now + timedelta(minutes=1)}
    answer = reader.ask("cloudwatch", "GetMetricData", MetricDataQueries=queries[:MOST_QUERIES], **window)
    found: dict[Series, dict[str, float]] = {}
    for result in answer.get("MetricDataResults", []):
        key, name = series[result["Id"]]
        values = result["Values"]
        if values:
            found.setdefault(key, {})[name] = sum(values) / (len(values) if MEASURED[name] == "Average" else 1)
    return found


def invocations_of(endpoint: str, measured: dict[Series, dict[str, float]]) -> list[dict[str, Any]]:
    """One endpoint's part, as rows."""
    return [
        {"VariantName": variant, "EndpointConfigName": config, **values}
        for (name, variant, config), values in sorted(measured.items())
        if name == endpoint and values.get("Invocations")
    ]
