"""The azure_devops provider."""
