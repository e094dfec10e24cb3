"""AWS as a role sees it: temporary credentials, clients that act as a role, and which images a role may pull."""
