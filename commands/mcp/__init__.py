"""The Model Context Protocol: programs run commands as the person whose token they hold."""
