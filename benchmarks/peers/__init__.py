"""The contestants, each as the code that runs in its own process."""
