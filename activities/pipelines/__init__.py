"""Stage 4: SageMaker Pipelines."""
