"""What is kept over a restart, in snapshots, and what a reset forgets."""
