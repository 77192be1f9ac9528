"""Blocks that are computed elsewhere: the same runs as inline, and what can only go wrong there."""
