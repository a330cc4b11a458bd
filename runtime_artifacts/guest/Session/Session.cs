using System;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace MinimalRuntime.Session;

/// <summary>What the host asks of a session: <c>dotnet_wasm_host/notebook/session.py</c>.</summary>
public sealed class Session : IAsyncFunctionHandler
{
    private Cells cells = new();

    private enum Command : byte
    {
        Framework = (byte)'F',
        Reference = (byte)'R',
        Run = (byte)'C',
        IsComplete = (byte)'I',
        Complete = (byte)'K',
        Forget = (byte)'Z',
    }

    /// <inheritdoc/>
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        var request = new BinaryReader(new MemoryStream(input.ToArray()), Encoding.UTF8);
        switch ((Command)request.ReadByte())
        {
            case Command.Framework:
                this.cells.ReferenceFramework(ReadText(request).Split('\n'));
                return [];
            case Command.Reference:
                this.cells.Reference(request.ReadBytes(request.ReadInt32()));
                return [];
            case Command.Run:
                return await this.cells.RunAsync(file: ReadText(request), text: ReadText(request));
            case Command.IsComplete:
                return [Cells.IsComplete(ReadText(request)) ? (byte)1 : (byte)0];
            case Command.Complete:
                var position = request.ReadInt32();
                return Encoding.UTF8.GetBytes(string.Join('\n', this.cells.Complete(ReadText(request), position)));
            case Command.Forget:
                this.cells = new();
                return [];
            default:
                throw new InvalidOperationException("Unknown command.");
        }
    }

    private static string ReadText(BinaryReader request) =>
        Encoding.UTF8.GetString(request.ReadBytes(request.ReadInt32()));
}
