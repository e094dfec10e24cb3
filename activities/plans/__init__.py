"""What a promotion would do, and what would stop it: looked at without any effect."""
