using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;

namespace MinimalRuntime.Compiler;

/// <summary>
/// The usings that an SDK project for the console has without writing them, and the contract.
/// </summary>
internal static class ImplicitUsings
{
    // The list of Microsoft.NET.Sdk.CSharp.props.
    private const string Source = """
        global using global::System;
        global using global::System.Collections.Generic;
        global using global::System.IO;
        global using global::System.Linq;
        global using global::System.Net.Http;
        global using global::System.Threading;
        global using global::System.Threading.Tasks;
        global using global::MinimalRuntime;
        """;

    // Part of the compiler's image: parsing it again would be a good part of a small compilation.
    private static SyntaxTree? last;

    public static SyntaxTree Tree(CSharpParseOptions options)
    {
        if (last is null || !last.Options.Equals(options))
        {
            last = CSharpSyntaxTree.ParseText(
                SourceText.From(Source, Encoding.UTF8, SourceHashAlgorithm.Sha256),
                options,
                path: "GlobalUsings.g.cs");
        }

        return last;
    }
}
