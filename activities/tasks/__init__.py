"""Stage 3: ECS tasks."""
