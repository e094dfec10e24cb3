"""Test helpers of this repository alone, never in the wheel: contract tests, COVERAGE.md, and a driver for each service."""
