"""moto, which answers the services and operations that the sandbox has no own ones for."""
