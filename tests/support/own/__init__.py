"""Programs of teams that know nothing of Slipway: what their tasks start, and what their pipelines' jobs run."""
