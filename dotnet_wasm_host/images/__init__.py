"""Images: booted runtimes, frozen, from which instances start."""
