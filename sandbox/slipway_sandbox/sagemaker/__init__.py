"""SageMaker: pipelines and jobs, the model registry, and hosting with its runtime."""
