"""Stage 6: SageMaker endpoints."""
