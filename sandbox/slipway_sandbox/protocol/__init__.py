"""AWS's wire formats, as botocore's service models describe them: parsing, checking, writing, and error bodies."""
