"""Upserts a compiled definition and starts it, as `pipeline.upsert()` and a bare `pipeline.start()` do."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import boto3


def main() -> None:
    """Make or change the pipeline, start it without a name, and log what came back in colours."""
    name, role = os.environ["PIPELINE"], os.environ["PIPELINE_ROLE"]
    definition = Path("/app/definition.json").read_text(encoding="utf-8")
    session: Any = boto3.session.Session()
    sagemaker = session.client("sagemaker")
    try:
        sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=role)
    except sagemaker.exceptions.ClientError:
        sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=role)
    started = sagemaker.start_pipeline_execution(PipelineName=name)
    sys.stdout.write(
        f"\x1b[32mINFO\x1b[0m [7] execution started {{'PipelineExecutionArn': '{started['PipelineExecutionArn']}'}}\n"
    )


if __name__ == "__main__":
    main()
