"""A local AWS for model promotions.

Own services for ECR (with the OCI registry), ECS and SageMaker stand in front of moto, behind one port. See `gateway` for how a
request finds its room, and `core.world` for what every room shares.
"""
