"""Temporal: connecting, setting up, starting, and what surrounds an activity."""
