"""ECR: its control plane and its OCI registry, on one store."""
