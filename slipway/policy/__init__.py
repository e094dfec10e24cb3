"""What the worker's owner lets an application do."""
