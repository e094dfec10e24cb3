"""Whether the endpoints of other accounts may read the package's files in S3, and decrypt them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from activities.access.lookups import Denied, asked, not_looked_at
from activities.access.roles import Place, Worker
from activities.packages import models_in
from slipway.aws.clients import Aws, place_in_s3, region_of
from slipway.aws.policies import could_allow, statement
from slipway.findings import Finding, Level
from slipway.policy.check import account_of

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

READ = "s3:GetObject"
NO_POLICY = "NoSuchBucketPolicy"


async def check_artifacts(
    aws: Aws, package: DescribeModelPackageOutputTypeDef, worker: Worker, places: Sequence[Place]
) -> AsyncIterator[Finding]:
    """What keeps endpoints of other accounts from the package's files.

    Args:
        aws: Where to find AWS.
        package: The package.
        worker: Who the worker is. S3 shows a bucket's policy to the bucket's own account only.
        places: Where it is rolled out.
    """
    readers = {place.reader: None for place in places if place.account != worker.account}
    region = region_of(package["ModelPackageArn"])
    for uri in models_in(package) if readers else ():
        bucket, key = place_in_s3(uri)
        read = aws.s3(region).get_bucket_policy
        answer = await asked(aws.call(f"reading the policy of the bucket {bucket}", read, Bucket=bucket))
        policy = answer if isinstance(answer, Denied) else answer["Policy"]
        for reader in readers:
            finding = _read_finding(policy, bucket, key, reader)
            if finding:
                yield finding
        async for finding in _key_findings(aws, region, uri, list(readers)):
            yield finding


def _read_finding(policy: str | Denied, bucket: str, key: str, reader: str) -> Finding | None:
    uri, resource = f"s3://{bucket}/{key}", f"arn:aws:s3:::{bucket}/{key}"
    folder = f"arn:aws:s3:::{bucket}/{key.partition('/')[0]}/*"
    needed = statement("ReadModelsFromAnotherAccount", [_principal(reader)], [READ], [folder if "/" in key else resource])
    question = f"whether {reader} may read {uri}"
    if isinstance(policy, Denied):
        if policy.code == NO_POLICY:
            return _missing(uri, reader, f"the bucket {bucket} has no policy", needed)
        return not_looked_at(question, uri, policy.said, needed)
    try:
        allowed = could_allow(policy, reader, READ, resource)
    except ValueError as error:
        return not_looked_at(question, uri, f"the bucket's policy cannot be read: {error}", needed)
    return None if allowed else _missing(uri, reader, f"no statement of the policy of {bucket} allows {READ} to it", needed)


async def _key_findings(aws: Aws, region: str, uri: str, readers: Sequence[str]) -> AsyncIterator[Finding]:
    """Keys show their policies to their own account only, and by a permission that the worker does not need otherwise."""
    bucket, key = place_in_s3(uri)
    head = aws.s3(region).head_object
    answer = await asked(aws.call(f"looking at the model's file {uri}", head, Bucket=bucket, Key=key))
    kms = "" if isinstance(answer, Denied) else answer.get("SSEKMSKeyId", "")
    for reader in readers:
        if kms and account_of(kms) != (account_of(reader) or reader):
            needed = statement("DecryptModelsFromAnotherAccount", [_principal(reader)], ["kms:Decrypt"], ["*"])
            why = f"the file is encrypted by the key {kms} of another account"
            yield not_looked_at(f"whether {reader} may decrypt {uri}", uri, why, needed)


def _principal(reader: str) -> str:
    return reader if reader.startswith("arn:") else f"arn:aws:iam::{reader}:root"


def _missing(uri: str, reader: str, why: str, needed: str) -> Finding:
    return Finding(
        level=Level.refuse,
        what=f"{reader} may not read {uri}",
        where="the package's files",
        why=why,
        remedy="add the statement to the bucket's policy, and see that the reader's own policy allows the same",
        statement=needed,
    )
