"""Tests of what is never written."""
