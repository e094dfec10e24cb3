"""Brings up a local AWS, Temporal, git and a worker in one folder, and tells the story of one promotion."""
