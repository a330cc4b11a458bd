using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Reflection.Metadata;
using System.Runtime.Loader;
using System.Text;
using System.Threading.Tasks;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Emit;
using Microsoft.CodeAnalysis.Text;

namespace MinimalRuntime.Session;

/// <summary>Cells compiled one after the other, each seeing what the ones before have declared.</summary>
internal sealed class Cells
{
    private const string MetadataVersion = "v4.0.30319";
    private const int MaxNames = 1000;

    private static readonly CSharpParseOptions ParseOptions = new(LanguageVersion.CSharp12, kind: SourceCodeKind.Script);

    // Those of an SDK project for the console.
    private static readonly string[] Usings =
    [
        "System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Text",
        "System.Threading", "System.Threading.Tasks", "MinimalRuntime",
    ];

    private readonly List<MetadataReference> references = [];
    private readonly CellContext context = new(AssemblyLoadContext.GetLoadContext(typeof(Cells).Assembly)!);
    private CSharpCompilation? previous;
    private object[] states = new object[16];
    private int count;

    /// <summary>Whether text is a cell, or one that goes on.</summary>
    public static bool IsComplete(string text) =>
        SyntaxFactory.IsCompleteSubmission(CSharpSyntaxTree.ParseText(text, ParseOptions));

    /// <summary>Assemblies of the running framework, by name, become references.</summary>
    public unsafe void ReferenceFramework(IEnumerable<string> names)
    {
        foreach (var name in names)
        {
            if (Assembly.Load(new AssemblyName(name)).TryGetRawMetadata(out var blob, out var length))
            {
                var module = ModuleMetadata.CreateFromMetadata((IntPtr)blob, length);
                this.references.Add(AssemblyMetadata.Create(module).GetReference(display: name));
            }
        }
    }

    /// <summary>An assembly that cells can use from now on.</summary>
    public void Reference(byte[] image)
    {
        this.context.Add(image);
        this.references.Add(MetadataReference.CreateFromImage(image));
    }

    /// <summary>Compile and run a cell. What it declares stays, even if it throws.</summary>
    public async Task<byte[]> RunAsync(string file, string text)
    {
        var compilation = this.Compilation(text, file);
        using var image = new MemoryStream();
        var result = compilation.Emit(image, options: new EmitOptions(
            runtimeMetadataVersion: MetadataVersion, debugInformationFormat: DebugInformationFormat.Embedded));
        if (!result.Success)
        {
            return CellAnswer.Refuse(result.Diagnostics);
        }

        var assembly = this.context.Add(image.ToArray());
        var entry = compilation.GetEntryPoint(default)!;
        var method = assembly.GetType(entry.ContainingType.MetadataName)!.GetMethod(
            entry.MetadataName, BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)!;
        this.previous = compilation;
        if (++this.count + 1 > this.states.Length)
        {
            Array.Resize(ref this.states, this.states.Length * 2);
        }

        var value = await method.CreateDelegate<Func<object[], Task<object?>>>()(this.states);
        return CellAnswer.Of(value);
    }

    /// <summary>Names that can stand at a position and begin with what stands there already.</summary>
    public IEnumerable<string> Complete(string text, int position)
    {
        var compilation = this.Compilation(text, "complete");
        var tree = compilation.SyntaxTrees.Last();
        var model = compilation.GetSemanticModel(tree);
        var token = tree.GetRoot().FindToken(Math.Max(position - 1, 0));
        var word = "";
        if (token.IsKind(SyntaxKind.IdentifierToken) && token.Span.End >= position)
        {
            word = token.Text[..Math.Max(position - token.SpanStart, 0)];
            token = token.GetPreviousToken();
        }

        var symbols = token.Parent is MemberAccessExpressionSyntax access && token.IsKind(SyntaxKind.DotToken)
            ? Members(model, access.Expression, position)
            : model.LookupSymbols(position);
        return symbols.Where(s => s.CanBeReferencedByName && s.Name.StartsWith(word, StringComparison.Ordinal))
            .Select(s => s.Name).Distinct().Order().Take(MaxNames);
    }

    private static IEnumerable<ISymbol> Members(SemanticModel model, ExpressionSyntax expression, int position)
    {
        if (model.GetSymbolInfo(expression).Symbol is INamespaceOrTypeSymbol container)
        {
            return model.LookupSymbols(position, container).Where(s => s.IsStatic || s is INamespaceOrTypeSymbol);
        }

        return model.GetTypeInfo(expression).Type is { } type
            ? model.LookupSymbols(position, type, includeReducedExtensionMethods: true).Where(s => !s.IsStatic || s is IMethodSymbol)
            : [];
    }

    private CSharpCompilation Compilation(string text, string file)
    {
        var source = SourceText.From(text, Encoding.UTF8, SourceHashAlgorithm.Sha256);
        var options = new CSharpCompilationOptions(
            OutputKind.DynamicallyLinkedLibrary,
            usings: Usings,
            optimizationLevel: OptimizationLevel.Debug,
            allowUnsafe: true,
            concurrentBuild: false,
            nullableContextOptions: NullableContextOptions.Disable,
            scriptClassName: $"Cell{this.count}");
        return CSharpCompilation.CreateScriptCompilation(
            $"cell{this.count}",
            CSharpSyntaxTree.ParseText(source, ParseOptions, path: file),
            this.references,
            options,
            this.previous,
            typeof(object));
    }

    /// <summary>Cells find each other, and what they refer to, by name.</summary>
    private sealed class CellContext(AssemblyLoadContext parent) : AssemblyLoadContext("cells")
    {
        private readonly Dictionary<string, Assembly> known = [];

        public Assembly Add(byte[] image)
        {
            var assembly = this.LoadFromStream(new MemoryStream(image));
            return this.known[assembly.GetName().Name!] = assembly;
        }

        protected override Assembly? Load(AssemblyName assemblyName)
        {
            if (this.known.TryGetValue(assemblyName.Name!, out var assembly))
            {
                return assembly;
            }

            try
            {
                return parent.LoadFromAssemblyName(assemblyName);
            }
            catch (FileNotFoundException)
            {
                return null;
            }
        }
    }
}
