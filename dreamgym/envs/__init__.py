"""The batched simulation core and its faces."""
