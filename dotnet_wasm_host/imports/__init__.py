"""What the guest imports, a module for each concern."""
