"""Any code as a run: what is behind `runstone.track`."""
