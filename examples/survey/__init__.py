"""What the survey measures and draws: plain Python that knows nothing of pipelines."""
