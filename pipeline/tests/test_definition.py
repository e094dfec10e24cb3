"""The compiled definition: what the SDK makes of `definition.py`, without a network."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest

from demo.images import image_layout
from demo.oci_layout import key_of

PIPELINE = Path(__file__).parents[1]
ARN_OR_HOST = re.compile(r"arn:aws|\d{12}|amazonaws|us-east-1|s3://")


def compiled(number: int) -> str:
    """What the SDK made of the sources in its run of that number. It takes long to import, so the result is kept in the cache."""
    sources = [(PIPELINE / name).read_bytes() for name in ("definition.py", "settings.json")]
    key = key_of(*sources, Path(__file__).read_bytes(), version("sagemaker"), sys.version)
    kept = image_layout().cached(f"tested-definition-{key[:16]}-{number}.json", compile_into)
    return kept.read_text(encoding="utf-8")


def compile_into(target: Path) -> None:
    settings = {**json.loads((PIPELINE / "settings.json").read_text()), "dropColumns": ["worst area"]}
    with tempfile.TemporaryDirectory() as home:
        changed = Path(home, "settings.json")
        changed.write_text(json.dumps(settings))
        command = [sys.executable, str(PIPELINE / "definition.py"), "--settings", str(changed), "--output", str(target)]
        if no_network():
            command = ["unshare", "--map-root-user", "--net", *command]
        # The environment is empty, as in a build: no account, no region, no credentials.
        subprocess.run(command, env={"PATH": "/usr/bin:/bin", "HOME": home}, check=True, capture_output=True)


def no_network() -> bool:
    """Whether this machine can take the network away from a process."""
    tool = shutil.which("unshare")
    command = [str(tool), "--map-root-user", "--net", "true"]
    return tool is not None and subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def text() -> str:
    if find_spec("sagemaker") is None:
        pytest.skip("the SageMaker SDK is not installed; run uv sync --group pipeline")
    return compiled(1)


@pytest.fixture(scope="module")
def definition(text: str) -> dict[str, Any]:
    return json.loads(text)


def steps_of(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {step["Name"]: step for step in definition["Steps"]}
    branches = found["CheckAccuracy"]["Arguments"]
    return found | {step["Name"]: step for step in (*branches["IfSteps"], *branches["ElseSteps"])}


@pytest.mark.timeout(120)
def test_given_no_network_when_compiled_then_nothing_of_an_account_is_in_it(text: str) -> None:
    assert ARN_OR_HOST.findall(text) == []


@pytest.mark.timeout(120)
def test_given_the_definition_when_read_then_each_step_is_of_its_kind(definition: dict[str, Any]) -> None:
    assert {name: step["Type"] for name, step in steps_of(definition).items()} == {
        "Preprocess": "Processing",
        "Train": "Training",
        "Evaluate": "Processing",
        "CheckAccuracy": "Condition",
        "RegisterModel": "RegisterModel",
        "AccuracyTooLow": "Fail",
    }


@pytest.mark.timeout(120)
def test_given_the_definition_when_read_then_what_differs_between_accounts_is_a_parameter(definition: dict[str, Any]) -> None:
    named = {parameter["Name"]: parameter.get("DefaultValue") for parameter in definition["Parameters"]}
    required = {name for name, default in named.items() if default is None}
    assert required == {"DataUri", "ModelPackageGroup", "ModelImage", "RoleArn", "OutputUri"}
    assert named.keys() - required == {"InstanceType", "AccuracyThreshold", "ApprovalStatus"}


@pytest.mark.timeout(120)
def test_given_the_definition_when_read_then_every_reference_leads_to_a_parameter_step_or_execution(
    definition: dict[str, Any],
) -> None:
    parameters = {f"Parameters.{parameter['Name']}" for parameter in definition["Parameters"]}
    steps = steps_of(definition)
    for reference in references(definition):
        root, name = reference.split(".")[:2]
        assert reference in parameters or root == "Execution" or (root == "Steps" and name in steps), reference


def references(value: Any) -> set[str]:
    """Every `Get` below a value."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        found = {entries["Get"]} if isinstance(entries.get("Get"), str) else set[str]()
        return found.union(*(references(entry) for entry in entries.values()))
    if isinstance(value, list):
        return set[str]().union(*(references(entry) for entry in cast("list[Any]", value)))
    return set()


@pytest.mark.timeout(120)
def test_given_a_dropped_column_when_compiled_then_the_step_is_told(definition: dict[str, Any]) -> None:
    arguments = steps_of(definition)["Preprocess"]["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert arguments[-2:] == ["--drop-column", "worst area"]


@pytest.mark.timeout(120)
def test_given_the_failing_branch_when_read_then_its_message_says_the_number(definition: dict[str, Any]) -> None:
    parts = steps_of(definition)["AccuracyTooLow"]["Arguments"]["ErrorMessage"]["Std:Join"]["Values"]
    assert parts[1]["Std:JsonGet"]["Path"] == "binary_classification_metrics.accuracy.value"


@pytest.mark.timeout(120)
def test_given_the_registered_model_when_read_then_it_carries_its_metrics_twice(definition: dict[str, Any]) -> None:
    arguments = steps_of(definition)["RegisterModel"]["Arguments"]
    assert arguments["ModelMetrics"]["ModelQuality"]["Statistics"]["ContentType"] == "application/json"
    assert set(arguments["CustomerMetadataProperties"]) == {"accuracy", "auc", "precision", "recall", "f1"}


@pytest.mark.timeout(120)
def test_given_the_same_sources_when_compiled_again_then_the_bytes_are_the_same(text: str) -> None:
    assert compiled(2) == text
