"""Run folders that other programs wrote: looked at as they are, and answered for in our words."""
