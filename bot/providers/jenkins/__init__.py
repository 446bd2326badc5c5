"""The jenkins provider."""
