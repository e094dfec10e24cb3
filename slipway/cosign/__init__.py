"""What is said of an image in its registry, and who signed it: cosign's signatures, Sigstore's bundles, build provenance."""
