"""Texts that no record holds: what stands for them, how they are compared, and how they are kept out."""
