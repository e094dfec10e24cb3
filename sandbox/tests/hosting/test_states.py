"""The endpoints' states, on the stage."""

from __future__ import annotations

from .conftest import CALLER, Stage, eventually


def test_given_a_configuration_when_an_endpoint_is_created_then_it_serves_after_its_instances_are_there(stage: Stage) -> None:
    stage.create()
    assert stage.described()["EndpointStatus"] == "Creating"
    stage.clock.pass_wait(10)
    served = stage.reaches("InService")
    assert served["EndpointConfigName"] == "one"
    variant = served["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (4, 1.0)
    assert variant["DeployedImages"][0]["ResolvedImage"] == "repository@sha256:1"


def test_given_a_container_that_never_gets_healthy_when_an_endpoint_is_created_then_it_failed(stage: Stage) -> None:
    stage.create("broken-three")
    stage.clock.pass_wait(10)
    assert "did not pass the ping health check" in stage.reaches("Failed")["FailureReason"]


def test_given_a_failed_endpoint_when_it_is_updated_then_it_is_refused(stage: Stage) -> None:
    stage.create("broken-three")
    stage.clock.pass_wait(10)
    stage.reaches("Failed")
    assert "can only be deleted" in stage.refused(stage.update)


def test_given_an_update_all_at_once_when_the_fleet_is_up_then_the_new_configuration_is_served(stage: Stage) -> None:
    stage.in_service()
    stage.update()
    assert stage.described()["PendingDeploymentSummary"]["EndpointConfigName"] == "two"
    stage.clock.pass_wait(10)
    served = stage.reaches("InService")
    assert served["EndpointConfigName"] == "two"
    assert "PendingDeploymentSummary" not in served
    eventually(stage.fleets.servers["one"].stopped.is_set, "the old fleet's end")


def test_given_an_update_under_way_when_another_comes_then_it_is_refused_in_awss_words(stage: Stage) -> None:
    stage.in_service()
    stage.update()
    arn = stage.described()["EndpointArn"]
    assert stage.refused(stage.update) == f'Cannot update in-progress endpoint "{arn}".'


def test_given_an_update_under_way_when_the_endpoint_is_deleted_then_it_is_refused(stage: Stage) -> None:
    stage.in_service()
    stage.update()
    assert "Cannot update in-progress endpoint" in stage.refused(stage.endpoints.delete_endpoint, CALLER, {"EndpointName": "ep"})


def test_given_a_deleted_served_configuration_when_the_endpoint_is_updated_then_it_is_refused(stage: Stage) -> None:
    stage.in_service()
    stage.configs.delete_endpoint_config(CALLER, {"EndpointConfigName": "one"})
    assert "Could not find endpoint configuration" in stage.refused(stage.update)


def test_given_an_existing_endpoint_when_it_is_created_again_then_it_is_refused_in_awss_words(stage: Stage) -> None:
    stage.in_service()
    assert stage.refused(stage.create) == (
        'Cannot create already existing endpoint "arn:aws:sagemaker:us-east-1:111111111111:endpoint/ep".'
    )


def test_given_an_endpoint_when_it_is_deleted_then_its_fleet_ends_and_it_is_gone(stage: Stage) -> None:
    stage.in_service()
    stage.endpoints.delete_endpoint(CALLER, {"EndpointName": "ep"})
    assert stage.described()["EndpointStatus"] == "Deleting"
    stage.clock.pass_wait(5)
    assert "Could not find endpoint" in stage.refused(stage.described)
    eventually(stage.fleets.servers["one"].stopped.is_set, "the fleet's end")


def test_given_retained_properties_when_an_endpoint_is_updated_then_live_counts_and_weights_stay(stage: Stage) -> None:
    stage.in_service()
    wish = {"VariantName": "AllTraffic", "DesiredInstanceCount": 9, "DesiredWeight": 0.5}
    stage.endpoints.update_weights(CALLER, {"EndpointName": "ep", "DesiredWeightsAndCapacities": [wish]})
    stage.clock.pass_wait(10)
    stage.reaches("InService")
    stage.update(RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}])
    stage.clock.pass_wait(10)
    variant = stage.reaches("InService")["ProductionVariants"][0]
    assert (variant["DesiredInstanceCount"], variant["DesiredWeight"]) == (9, 1.0)


def test_given_two_variants_when_one_is_shifted_weight_then_the_split_follows(stage: Stage) -> None:
    stage.config("pair", "A", "B")
    stage.in_service("pair")
    wish = {"VariantName": "A", "DesiredWeight": 3}
    stage.endpoints.update_weights(CALLER, {"EndpointName": "ep", "DesiredWeightsAndCapacities": [wish]})
    stage.clock.pass_wait(10)
    stage.reaches("InService")
    endpoint = stage.endpoints.endpoints.get(CALLER, "ep")
    routes = [endpoint.router.take() for _ in range(8)]
    assert sorted(route.variant for route in routes if route) == ["A"] * 6 + ["B"] * 2


def shadowed(stage: Stage, shadow_weight: float) -> None:
    """A configuration with a shadow variant, in service."""
    instances = {"ModelName": "model", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    config = {
        "EndpointConfigName": "shadowed",
        "ProductionVariants": [{"VariantName": "Main", **instances}],
        "ShadowProductionVariants": [{"VariantName": "Shadow", "InitialVariantWeight": shadow_weight, **instances}],
    }
    stage.configs.create_endpoint_config(CALLER, config)
    stage.in_service("shadowed")


def test_given_a_shadow_of_half_the_weight_when_requests_come_then_it_gets_every_second_one(stage: Stage) -> None:
    shadowed(stage, 0.5)
    endpoint = stage.endpoints.endpoints.get(CALLER, "ep")
    routes = [endpoint.router.take() for _ in range(10)]
    assert {route.variant for route in routes if route} == {"Main"}
    assert sum(route.shadow.sampler.take() for route in routes if route and route.shadow) == 5


def test_given_a_shadow_variant_when_the_endpoint_is_described_then_it_is_shown_beside_the_production_variant(
    stage: Stage,
) -> None:
    shadowed(stage, 0.5)
    (shown,) = stage.described()["ShadowProductionVariants"]
    assert (shown["VariantName"], shown["CurrentWeight"], shown["CurrentInstanceCount"]) == ("Shadow", 0.5, 1)


def test_given_a_data_capture_when_an_update_retains_the_variants_properties_then_it_stays(stage: Stage) -> None:
    capture = {"InitialSamplingPercentage": 50, "DestinationS3Uri": "s3://bucket/x", "CaptureOptions": [{"CaptureMode": "Input"}]}
    variant = {"VariantName": "AllTraffic", "ModelName": "model", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    stage.configs.create_endpoint_config(
        CALLER, {"EndpointConfigName": "captured", "ProductionVariants": [variant], "DataCaptureConfig": capture}
    )
    stage.in_service("captured")
    stage.update(RetainAllVariantProperties=True)
    stage.clock.pass_wait(10)
    eventually(lambda: stage.described()["EndpointConfigName"] == "two", "the update's end")
    assert stage.described()["DataCaptureConfig"]["CurrentSamplingPercentage"] == 50
