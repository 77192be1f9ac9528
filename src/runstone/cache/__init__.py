"""The cache: results of blocks and of tracked code that a later run takes instead of computing them again."""
