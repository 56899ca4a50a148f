"""The OCI formats in pure Python: names, digests and manifests; no framework, no I/O."""
