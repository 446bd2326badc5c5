"""The github_actions provider."""
