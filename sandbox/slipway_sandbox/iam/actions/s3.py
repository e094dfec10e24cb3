"""S3's actions: named after what is done, which the operations' names often are not."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

from slipway_sandbox.core.calls import Need
from slipway_sandbox.iam.actions.asked import Asked

ON_OBJECTS = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "SelectObjectContent": "GetObject",
    "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
    "DeleteObject": "DeleteObject",
    "RestoreObject": "RestoreObject",
}
ON_BUCKETS = {
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
VERSIONED = frozenset({"GetObject", "DeleteObject"})


def needs(asked: Asked) -> list[Need]:
    """What a call of S3 needs."""
    bucket, _, key = asked.environ["PATH_INFO"].lstrip("/").partition("/")
    query = parse_qs(asked.environ.get("QUERY_STRING", ""), keep_blank_values=True)
    in_bucket, name = f"arn:aws:s3:::{bucket}", asked.operation
    if not bucket:
        return [Need("s3:ListAllMyBuckets" if name == "ListBuckets" else f"s3:{name}")]
    if name in ("CopyObject", "UploadPartCopy"):
        source = unquote(asked.environ.get("HTTP_X_AMZ_COPY_SOURCE", "")).lstrip("/").partition("?")[0]
        return [Need("s3:GetObject", (f"arn:aws:s3:::{source}",)), Need("s3:PutObject", (f"{in_bucket}/{key}",))]
    if name == "DeleteObjects":
        return [Need("s3:DeleteObject", tuple(f"{in_bucket}/{found}" for found in asked.values("keys")) or (f"{in_bucket}/*",))]
    if not key:
        context = {f"s3:{part}": tuple(query[part]) for part in ("prefix", "delimiter", "max-keys") if part in query}
        return [Need(f"s3:{ON_BUCKETS.get(name, name)}", (in_bucket,), context)]
    action = ON_OBJECTS.get(name, name)
    if action in VERSIONED and "versionId" in query:
        action += "Version"
    found = [Need(f"s3:{action}", (f"{in_bucket}/{key}",))]
    if name == "PutObject" and "HTTP_X_AMZ_TAGGING" in asked.environ:
        found.append(Need("s3:PutObjectTagging", (f"{in_bucket}/{key}",)))
    return found
