"""What keeps an endpoint from being made or changed: quotas, scalable targets, late configurations."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from slipway_sandbox.autoscaling.targets import Target
from slipway_sandbox.core.errors import AwsError

from sandbox.testkit.hosting import ROLE

from .conftest import CALLER, Stage

QUOTA = "ml.m5.large for endpoint usage"


def test_given_a_quota_when_an_endpoint_would_exceed_it_then_it_is_refused_in_awss_words(stage: Stage) -> None:
    stage.quotas.set_quota({"account": CALLER.account, "name": QUOTA, "limit": 3})
    with pytest.raises(AwsError) as refused:
        stage.create()
    assert refused.value.code == "ResourceLimitExceeded"
    assert refused.value.message.startswith(
        "The account-level service limit 'ml.m5.large for endpoint usage' is 3 Instances, with current utilization of 0 "
        "Instances and a request delta of 4 Instances."
    )


def test_given_a_quota_for_one_fleet_when_an_endpoint_is_updated_then_a_second_one_has_no_room(stage: Stage) -> None:
    stage.quotas.set_quota({"account": CALLER.account, "name": QUOTA, "limit": 7})
    stage.in_service()
    with pytest.raises(AwsError, match="with current utilization of 4 Instances and a request delta of 4 Instances"):
        stage.update()


def register(stage: Stage, variant: str = "AllTraffic") -> None:
    """Let Application Auto Scaling look after a variant."""
    key = (CALLER.account, CALLER.region, "sagemaker", f"endpoint/ep/variant/{variant}", "sagemaker:variant:DesiredInstanceCount")
    stage.targets.put(key, Target(*key[2:], 1, 9, ROLE, "arn", datetime.now(UTC)))


def test_given_a_scaled_variant_when_its_instance_type_would_change_then_the_update_is_refused(stage: Stage) -> None:
    stage.in_service()
    register(stage)
    other = {"VariantName": "AllTraffic", "ModelName": "model", "InitialInstanceCount": 4, "InstanceType": "ml.c5.large"}
    stage.configs.create_endpoint_config(CALLER, {"EndpointConfigName": "larger", "ProductionVariants": [other]})
    assert "registered as scalable targets" in stage.refused(stage.update, "larger")


def test_given_a_scaled_variant_when_only_its_model_changes_then_it_is_updated(stage: Stage) -> None:
    stage.in_service()
    register(stage)
    stage.update()
    assert stage.described()["EndpointStatus"] == "Updating"


def test_given_a_scaled_variant_when_its_endpoint_is_deleted_then_its_target_goes_too(stage: Stage) -> None:
    stage.in_service()
    register(stage)
    stage.endpoints.delete_endpoint(CALLER, {"EndpointName": "ep"})
    assert stage.targets.variants(CALLER, "ep") == set()


def test_given_a_late_configuration_when_an_endpoint_is_created_then_it_is_found_after_a_while_only(stage: Stage) -> None:
    stage.configs.set_consistency({"seconds": 30, "account": CALLER.account})
    stage.config("late")
    shown = stage.configs.describe_endpoint_config(CALLER, {"EndpointConfigName": "late"})
    assert "Could not find endpoint configuration" in stage.refused(stage.create, "late")
    assert shown["EndpointConfigName"] == "late"
    stage.clock.call_later(30, lambda: None)
    stage.clock.pass_wait(30)
    stage.create("late")
    assert stage.described()["EndpointStatus"] == "Creating"
