"""What the air traffic pipelines need of Python."""
