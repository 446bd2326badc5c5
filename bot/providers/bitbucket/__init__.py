"""The bitbucket provider."""
