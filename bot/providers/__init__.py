"""The CI systems that Buildbell knows: kind -> adapter."""
