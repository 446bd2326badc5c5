"""The travis provider."""
