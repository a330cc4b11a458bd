using System;
using System.Globalization;

namespace MinimalRuntime.Columns;

/// <summary>Says in which row of a chunk another exception was thrown; -1 for all rows at once.</summary>
/// <param name="row">The row.</param>
/// <param name="inner">What was thrown.</param>
public sealed class RowError(int row, Exception inner)
    : Exception(row.ToString(CultureInfo.InvariantCulture), inner)
{
}
