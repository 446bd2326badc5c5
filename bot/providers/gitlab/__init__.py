"""The gitlab provider."""
