from __future__ import annotations

import pytest

from slipway.oci.reference import EcrRegistry, ImageReference, with_registry

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("registry", "region"),
    [
        ("111111111111.dkr.ecr.us-east-1.amazonaws.com", "us-east-1"),
        ("111111111111.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("111111111111.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ("111111111111.dkr-ecr-fips.us-gov-east-1.on.aws", "us-gov-east-1"),
        ("111111111111.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", "cn-northwest-1"),
        ("111111111111.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("111111111111.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("111111111111.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        ("111111111111.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        ("111111111111.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
    ],
)
def test_given_a_private_registry_of_ecr_when_it_is_read_then_its_account_and_region_are_known(
    registry: str, region: str
) -> None:
    assert ImageReference.parse(f"{registry}/team/app:v1").ecr == EcrRegistry(account="111111111111", region=region)


@pytest.mark.parametrize(
    ("text", "address", "repository"),
    [
        ("docker.io/library/python:3.13", "https://registry-1.docker.io", "library/python"),
        (f"ghcr.io/acme/screening@{DIGEST}", "https://ghcr.io", "acme/screening"),
        ("public.ecr.aws/docker/library/python:3.13", "https://public.ecr.aws", "docker/library/python"),
        ("europe-west1-docker.pkg.dev/acme/ml/app--x:v1", "https://europe-west1-docker.pkg.dev", "acme/ml/app--x"),
        ("registry.acme.example:8443/app", "https://registry.acme.example:8443", "app"),
        ("registry:5000/app", "https://registry:5000", "app"),
        ("localhost/app", "http://localhost", "app"),
        ("127.0.0.1:5000/app:v1", "http://127.0.0.1:5000", "app"),
    ],
)
def test_given_another_registry_when_it_is_read_then_it_is_not_ecr_and_its_address_is_known(
    text: str, address: str, repository: str
) -> None:
    image = ImageReference.parse(text)
    assert (image.ecr, image.address, image.repository, str(image)) == (None, address, repository, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nginx", "not an image with its registry"),
        ("acme/screening:v1", "write docker.io/acme/screening:v1"),
        ("docker.io/python:3.13", "write docker.io/library/python"),
        ("index.docker.io/library/python", "write docker.io"),
        ("11111111111.dkr.ecr.us-east-1.amazonaws.com/app", "looks like ECR"),
        ("111111111111.dkr.ecr.us-east-1.amazonaws.com.evil.example/app", "looks like ECR"),
        ("GHCR.io/acme/app", "not an image with its registry"),
        ("https://ghcr.io/acme/app", "not an image with its registry"),
        ("user@ghcr.io/acme/app", "not an image with its registry"),
        ("ghcr.io/acme/../app", "not an image with its registry"),
        ("ghcr.io/acme/app@sha512:00", "not an image with its registry"),
        ("registry:port/app", "not an image with its registry"),
    ],
)
def test_given_a_short_or_wrong_name_when_it_is_read_then_it_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImageReference.parse(text)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        (f"acme/trainer@{DIGEST}", f"docker.io/acme/trainer@{DIGEST}"),
        ("docker.io/busybox", "docker.io/library/busybox"),
        ("index.docker.io/acme/trainer", "docker.io/acme/trainer"),
        ("ghcr.io/acme/trainer:v1", "ghcr.io/acme/trainer:v1"),
        ("registry:5000/trainer", "registry:5000/trainer"),
        ("localhost/trainer", "localhost/trainer"),
    ],
)
def test_given_an_image_of_a_task_definition_when_its_registry_is_asked_for_then_it_is_what_docker_takes(
    image: str, name: str
) -> None:
    assert with_registry(image) == name
