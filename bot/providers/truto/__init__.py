"""The truto provider."""
