"""Commands that act on builds: run, cancel, retry, rebuild, approve, reject, erase."""
