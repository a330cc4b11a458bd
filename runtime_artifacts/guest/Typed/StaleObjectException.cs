using System;

namespace MinimalRuntime.Typed;

/// <summary>A handle is of no object here: its instance was replaced.</summary>
public sealed class StaleObjectException()
    : InvalidOperationException("The object is gone: the instance that had it was replaced.");
