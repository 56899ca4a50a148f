"""What is done with registries, policies and their executions."""
