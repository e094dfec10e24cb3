"""How keys of S3 become files of a job."""

from __future__ import annotations

import pytest
from slipway_sandbox.sagemaker.jobs.storage import relative_name, split_uri


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


@pytest.mark.parametrize("uri", ["s3://bucket/a/b#1", "https://s3.us-east-1.amazonaws.com/bucket/a/b#1"])
def test_given_a_uri_of_either_kind_then_it_is_bucket_and_key(uri: str) -> None:
    assert split_uri(uri) == ("bucket", "a/b#1")
