""".NET assembly files: containers and metadata."""
