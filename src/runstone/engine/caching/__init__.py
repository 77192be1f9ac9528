"""Results of blocks that are taken from the cache, and put there."""
