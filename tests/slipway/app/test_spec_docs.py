from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from slipway.app.spec_docs import REFERENCE_FILE, SCHEMA_FILE, reference, schema

SAMPLE = Path(__file__).parents[3] / "pipecd" / "promotion.yaml"


def test_given_the_models_when_the_schema_in_the_repository_is_compared_then_it_is_not_stale() -> None:
    assert SCHEMA_FILE.read_text() == schema(), "run `python -m slipway.app.spec_docs`"


def test_given_the_models_when_the_reference_page_is_compared_then_it_is_not_stale() -> None:
    assert REFERENCE_FILE.read_text() == reference(), "run `python -m slipway.app.spec_docs`"


def test_given_the_sample_spec_when_it_is_held_against_the_schema_then_it_fits() -> None:
    jsonschema.validate(yaml.safe_load(SAMPLE.read_text()), json.loads(schema()))


def test_given_an_unknown_key_when_a_spec_is_held_against_the_schema_then_it_does_not_fit() -> None:
    document = yaml.safe_load(SAMPLE.read_text())
    document["spec"]["task"] = {"launcherr": "slipway"}
    with pytest.raises(jsonschema.ValidationError, match="launcherr"):
        jsonschema.validate(document, json.loads(schema()))
