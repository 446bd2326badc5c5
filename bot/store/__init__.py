"""What the bot remembers, in SQLite or PostgreSQL, behind one door."""

from bot.store.attempts import unpack_counts
from bot.store.recording import Recorded
from bot.store.store import Store

__all__ = ["Recorded", "Store", "unpack_counts"]
