"""What an operator sees of the inside: logs, health, metrics."""
