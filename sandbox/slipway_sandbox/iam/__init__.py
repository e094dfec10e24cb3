"""Who calls, and whether they may: STS, and IAM's policies as AWS evaluates them."""
