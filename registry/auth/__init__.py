"""Who may do what on the registry: tokens, their keys, scopes and the challenge."""
