using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.IO;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;

namespace MinimalRuntime.Compiler;

/// <summary>One compilation as the host asks for it.</summary>
internal sealed class CompileRequest
{
    private static readonly CSharpParseOptions ParseOptions = new(LanguageVersion.CSharp12);

    // Two versions of one framework assembly are unified at run time, as in every SDK build.
    private static readonly KeyValuePair<string, ReportDiagnostic>[] Unification =
    [
        new("CS1701", ReportDiagnostic.Suppress),
        new("CS1702", ReportDiagnostic.Suppress),
    ];

    private readonly List<(string File, string Text)> sources = [];
    private readonly List<MetadataReference> references = [];
    private Flags flags;
    private ImmutableArray<byte> publicKey = [];

    [Flags]
    private enum Flags
    {
        None = 0,
        Optimize = 1,
        Nullable = 2,
        WarningsAsErrors = 4,
        MetadataOnly = 8,
        NoFramework = 16,
    }

    public string AssemblyName { get; private set; } = "";

    public bool UsesFramework => !this.flags.HasFlag(Flags.NoFramework);

    public bool MetadataOnly => this.flags.HasFlag(Flags.MetadataOnly);

    public IReadOnlyList<MetadataReference> References => this.references;

    public static CompileRequest Read(BinaryReader reader)
    {
        var request = new CompileRequest
        {
            flags = (Flags)reader.ReadInt32(),
            AssemblyName = PackedText.Read(reader),
            publicKey = [.. PackedText.ReadBytes(reader)],
        };
        for (var count = reader.ReadInt32(); count > 0; count--)
        {
            request.sources.Add((PackedText.Read(reader), PackedText.Read(reader)));
        }

        for (var count = reader.ReadInt32(); count > 0; count--)
        {
            var display = PackedText.Read(reader);
            request.references.Add(MetadataReference.CreateFromImage(
                PackedText.ReadBytes(reader), filePath: display));
        }

        return request;
    }

    public IEnumerable<SyntaxTree> SyntaxTrees()
    {
        foreach (var (file, text) in this.sources)
        {
            yield return CSharpSyntaxTree.ParseText(
                SourceText.From(text, Encoding.UTF8), ParseOptions, path: file);
        }
    }

    public CSharpCompilationOptions CompilationOptions() =>
        new(
            OutputKind.DynamicallyLinkedLibrary,
            optimizationLevel: this.flags.HasFlag(Flags.Optimize)
                ? OptimizationLevel.Release : OptimizationLevel.Debug,
            allowUnsafe: true,
            deterministic: true,
            concurrentBuild: false,
            generalDiagnosticOption: this.flags.HasFlag(Flags.WarningsAsErrors)
                ? ReportDiagnostic.Error : ReportDiagnostic.Default,
            specificDiagnosticOptions: Unification,
            cryptoPublicKey: this.publicKey,
            publicSign: !this.publicKey.IsEmpty,
            nullableContextOptions: this.flags.HasFlag(Flags.Nullable)
                ? NullableContextOptions.Enable : NullableContextOptions.Disable);
}
