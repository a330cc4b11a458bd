"""Programs for the workload ``process``: start, load, answer once, exit.

Each prints its result and then what its parts took, ``name=nanoseconds``.
"""
