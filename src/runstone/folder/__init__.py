"""Everything about one run on disk: how it is laid out, written, looked at and loaded."""
