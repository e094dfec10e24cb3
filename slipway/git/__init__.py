"""Git: deployment repositories through local mirrors."""
