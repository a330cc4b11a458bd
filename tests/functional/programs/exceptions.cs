using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Text;
using System.Threading.Tasks;

namespace Programs;

public sealed class CustomException(string message, int code) : Exception(message)
{
    public int Code { get; } = code;
}

public sealed class HostileException : Exception
{
    public override string Message => throw new InvalidOperationException("no message for you");

    public override string StackTrace => throw new InvalidOperationException("no trace for you");

    public override string ToString() => throw new InvalidOperationException("no text for you");
}

public sealed class NullMessageException : Exception
{
    public override string Message => null!;
}

public static class Broken
{
    public static readonly int Value = int.Parse("not a number");
}

/// <summary>Throws what its payload says.</summary>
public sealed class Thrower : MinimalRuntime.IFunctionHandler
{
    private readonly List<string> log = [];

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var command = Encoding.UTF8.GetString(input);
        switch (command)
        {
            case "simple":
                throw new ArgumentException("a bad argument", "name");
            case "inner":
                Wrap(3);
                break;
            case "aggregate":
                throw new AggregateException("several", new FormatException("first"), new CustomException("second", 2));
            case "whenall":
                Task.WhenAll(Task.FromException(new FormatException("first")), Task.FromException(new TimeoutException("second"))).GetAwaiter().GetResult();
                break;
            case "result":
                return [Task.FromException<byte>(new CustomException("from a task", 1)).Result];
            case "custom":
                throw new CustomException("Grüße, 世界 😀 \0 \ud800", 7);
            case "hostile":
                throw new HostileException();
            case "hostile inner":
                throw new InvalidOperationException("outer", new HostileException());
            case "null message":
                throw new NullMessageException();
            case "empty message":
                throw new Exception("");
            case "long message":
                throw new Exception(new string('x', 1_000_000));
            case "deep":
                Exception? chain = null;
                for (var i = 0; i < 1000; i++)
                {
                    chain = new Exception($"level {i}", chain);
                }

                throw chain!;
            case "cycle":
                var cyclic = new Exception("round");
                typeof(Exception).GetField("_innerException", BindingFlags.NonPublic | BindingFlags.Instance)!.SetValue(cyclic, cyclic);
                throw cyclic;
            case "static":
                return [(byte)Broken.Value];
            case "null reference":
                return Encoding.UTF8.GetBytes(((string?)null)!.Trim());
            case "divide":
                return [(byte)(1 / (command.Length - 6))];
            case "index":
                return [input[1000]];
            case "cast":
                return [(byte)(object)command];
            case "overflow":
                return [checked((byte)(command.Length * 1000))];
            case "missing method":
                throw new MissingMethodException("Type", "Method");
            case "rethrown":
                try
                {
                    Wrap(1);
                }
                catch (Exception e)
                {
                    ExceptionDispatchInfo.Capture(e.InnerException!).Throw();
                }

                break;
            case "reflected":
                typeof(Thrower).GetMethod(nameof(Wrap), BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [0]);
                break;
            case "handled":
                return Encoding.UTF8.GetBytes(string.Join(",", Handled()));
            case "out of memory":
                return new byte[int.MaxValue];
        }

        return input.ToArray();
    }

    private static void Wrap(int depth)
    {
        if (depth == 0)
        {
            throw new CustomException("the deepest", 0);
        }

        try
        {
            Wrap(depth - 1);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"depth {depth}", e);
        }
    }

    private List<string> Handled()
    {
        log.Clear();
        try
        {
            try
            {
                Wrap(1);
            }
            catch (InvalidOperationException e) when (Filter(e))
            {
                log.Add("never");
            }
            finally
            {
                log.Add("finally");
            }
        }
        catch (Exception e) when (e.InnerException is CustomException { Code: 0 })
        {
            log.Add("caught");
        }

        using (new Disposed(log))
        {
            log.Add("using");
        }

        return log;
    }

    private bool Filter(Exception e)
    {
        log.Add("filter " + e.Message);
        return false;
    }

    private sealed class Disposed(List<string> log) : IDisposable
    {
        public void Dispose() => log.Add("disposed");
    }
}
