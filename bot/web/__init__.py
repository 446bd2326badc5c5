"""The HTTP routes: Slack, webhooks, installation, health and metrics."""
