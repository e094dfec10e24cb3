"""Whether the accounts that a promotion touches let each other in."""
