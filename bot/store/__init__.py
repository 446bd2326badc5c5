"""What the bot remembers, in SQLite or PostgreSQL."""

from bot.store.recorded import Recorded
from bot.store.steps import unpack_counts
from bot.store.store import Store, Transaction

__all__ = ["Recorded", "Store", "Transaction", "unpack_counts"]
