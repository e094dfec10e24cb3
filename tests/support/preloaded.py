"""Reads botocore's descriptions of AWS and imports the commands, once for all workers and commands that are forked."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any

import boto3
import botocore.session

import slipway.cli

SERVICES = ("application-autoscaling", "cloudwatch", "ecr", "ecs", "logs", "s3", "sagemaker", "sagemaker-runtime", "sts")

# Each session has a loader, which keeps what it has read. Those that are made from here on have this one.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
_session: Any = boto3.session.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name="us-east-1")
for _service in SERVICES:
    _session.client(_service)

for _module in pkgutil.iter_modules(slipway.cli.__path__, f"{slipway.cli.__name__}."):
    importlib.import_module(_module.name)
