"""moto, which answers what the sandbox does not implement itself."""
