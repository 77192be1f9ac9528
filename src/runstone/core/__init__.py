"""The pure heart: no clock, no disk, no threads, no randomness. Times and ids come in as arguments."""
