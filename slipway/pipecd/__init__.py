"""PipeCD's public API, of which Slipway reads applications and deployments."""
