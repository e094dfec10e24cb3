"""The worker process: settings, health and logs."""
