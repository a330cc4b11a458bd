using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Reflection.Metadata;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;

namespace MinimalRuntime.Compiler;

/// <summary>
/// Roslyn as a hosted function. The first byte of a payload is the command; requests and answers
/// are packed as <c>dotnet_wasm_host/csharp/protocol.py</c> writes and reads them.
/// </summary>
public sealed class CSharpCompiler : IFunctionHandler
{
    /// <summary>ECMA-335 II.24.2.1: what every .NET assembly says.</summary>
    private const string MetadataVersion = "v4.0.30319";

    private readonly Dictionary<string, MetadataReference> framework = [];

    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        using var request = new BinaryReader(new MemoryStream(input.ToArray()), Encoding.UTF8);
        return (Command)request.ReadByte() switch
        {
            Command.Reference => this.ReferenceFramework(request),
            Command.Compile => this.Compile(CompileRequest.Read(request)),
            var unknown => throw new InvalidOperationException($"Unknown command {unknown}."),
        };
    }

    /// <summary>Assemblies of the running framework, by name, become references.</summary>
    private unsafe byte[] ReferenceFramework(BinaryReader request)
    {
        for (var count = request.ReadInt32(); count > 0; count--)
        {
            var name = PackedText.Read(request);
            var assembly = Assembly.Load(new AssemblyName(name));
            if (!assembly.TryGetRawMetadata(out var blob, out var length))
            {
                throw new InvalidOperationException($"{assembly.FullName} has no metadata.");
            }

            // The metadata is read where the runtime keeps it: nothing is copied.
            var module = ModuleMetadata.CreateFromMetadata((IntPtr)blob, length);
            this.framework[name] = AssemblyMetadata.Create(module).GetReference(display: name);
        }

        return [];
    }

    private byte[] Compile(CompileRequest request)
    {
        var compilation = CSharpCompilation.Create(
            request.AssemblyName,
            request.SyntaxTrees(),
            [.. this.FrameworkFor(request), .. request.References],
            request.CompilationOptions());
        using var image = new MemoryStream();
        var result = compilation.Emit(image, options: new EmitOptions(
            metadataOnly: request.MetadataOnly,
            includePrivateMembers: !request.MetadataOnly,
            runtimeMetadataVersion: MetadataVersion));
        return CompileAnswer.Write(result, image);
    }

    // The contract is part of the framework, and is itself compiled here: an assembly does not
    // refer to its own last version.
    private IEnumerable<MetadataReference> FrameworkFor(CompileRequest request) =>
        request.UsesFramework
            ? this.framework.Where(r => r.Key != request.AssemblyName).Select(r => r.Value)
            : [];

    private enum Command : byte
    {
        Reference = (byte)'R',
        Compile = (byte)'C',
    }
}
