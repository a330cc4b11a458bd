using System;
using System.Buffers.Text;
using System.Text;

public sealed class Function : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        Utf8Parser.TryParse(input, out int limit, out _);
        return Encoding.UTF8.GetBytes(CountPrimes(limit).ToString());
    }

    private static int CountPrimes(int limit)
    {
        var composite = new bool[limit];
        var count = 0;
        for (var i = 2; i < limit; i++)
        {
            if (composite[i])
            {
                continue;
            }

            count++;
            for (var j = (long)i * i; j < limit; j += i)
            {
                composite[j] = true;
            }
        }

        return count;
    }
}
