"""OCI registries: names, the client and copies by digest."""
