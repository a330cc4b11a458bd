"""Many runtimes behind one object: threads, asyncio, three degrees of isolation."""
