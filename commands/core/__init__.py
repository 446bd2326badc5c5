"""What every command shares: context, grammar, resolution, permissions, execution."""
