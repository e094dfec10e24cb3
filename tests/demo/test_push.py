from __future__ import annotations

from pathlib import Path

from slipway_sandbox.testing import SandboxProcess

from demo.images import upload_file
from slipway.oci.auth import TokenAuth
from slipway.oci.client import RegistryClient, Upload, content_digest


async def test_given_a_file_when_it_is_uploaded_twice_then_the_second_time_it_already_exists(
    sandbox: SandboxProcess, account: str, tmp_path: Path
) -> None:
    file = tmp_path / "layer"
    file.write_bytes(b"x" * 700_000)
    digest = content_digest(file.read_bytes())
    ecr = sandbox.client("ecr", account)
    ecr.create_repository(repositoryName="prod")
    authorization = ecr.get_authorization_token()["authorizationData"][0]

    async def token(_turned_down: bool) -> str:
        return authorization["authorizationToken"]

    async with RegistryClient(authorization["proxyEndpoint"], TokenAuth(token)) as registry:
        ends = [await upload_file(registry, "prod", digest, file) for _ in range(2)]

    assert ends == [Upload.uploaded, Upload.existing]
