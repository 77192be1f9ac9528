"""How the research reads texts: plain Python that knows nothing of pipelines."""
