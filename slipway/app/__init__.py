"""What a team's folder says: the spec, PipeCD's files, the task definition, and the checks on them."""
