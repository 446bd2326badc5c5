"""What every provider shares: the base class and the mechanisms that no provider writes again."""
