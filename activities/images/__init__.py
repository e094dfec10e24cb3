"""Stage 1: images in their registries."""
