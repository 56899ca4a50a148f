"""The registry's HTTP interface: the OCI distribution spec 1.1 and Docker's schema 2, with Harbor's answers."""
