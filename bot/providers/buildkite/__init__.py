"""The buildkite provider."""
