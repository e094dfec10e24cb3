"""How keys of S3 become files of a job."""

from __future__ import annotations

import pytest
from slipway_sandbox.sagemaker.jobs.storage import relative_name


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("data/train/a.csv", "data/train", "a.csv"),
        ("data/train/a.csv", "data/train/", "a.csv"),
        ("data/train/deep/a.csv", "data/train", "deep/a.csv"),
        ("data/model.tar.gz", "data/model.tar.gz", "model.tar.gz"),
        ("model.tar.gz", "model.tar.gz", "model.tar.gz"),
        ("data/part-1.csv", "data/part-", "part-1.csv"),
        ("a.csv", "", "a.csv"),
    ],
)
def test_given_a_key_below_a_prefix_then_its_file_is_named_by_the_rest(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name
