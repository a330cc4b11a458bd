"""What the runtime is made of: found, verified, cached."""
