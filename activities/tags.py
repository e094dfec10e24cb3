"""The tags that Slipway gives to what it makes on AWS."""

from __future__ import annotations

PROMOTION_TAG = "slipway-promotion"
"""The promotion that made it."""
ATTEMPT_TAG = "slipway-attempt"
"""Which run of the task it is, counted through the promotion."""
SCALING_TAG = "slipway-scaling"
"""The hash of the automatic scaling that a rollout takes off, on the endpoint config that it makes."""
HASH_TAG = "slipway-hash"
"""The hash of the content that a task definition was registered from."""
ENDPOINT_TAG = "slipway-endpoint"
"""The endpoint that a model or an endpoint config was made for."""
