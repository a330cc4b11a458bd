using System;
using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace MinimalRuntime.Compiler;

/// <summary>Source that may have methods without a class around them, which then get one.</summary>
internal static class MemberSource
{
    /// <summary>The class; the host looks for the methods there.</summary>
    private const string ClassName = "Functions";

    /// <summary>The text as the compiler takes it; lines and columns are reported as they were.</summary>
    public static string Wrap(string text, CSharpParseOptions options)
    {
        // Scripts may have members without a class.
        var script = options.WithKind(SourceCodeKind.Script);
        var root = (CompilationUnitSyntax)CSharpSyntaxTree.ParseText(text, script).GetRoot();
        if (!root.Members.Any(NeedsClass) || root.Members.Any(m => m is BaseNamespaceDeclarationSyntax))
        {
            return text;
        }

        var start = Start(root);
        var place = SourceText.From(text).Lines.GetLinePosition(start);
        return $"{text[..start]}\npublic static partial class {ClassName} {{\n#line {place.Line + 1}\n"
            + $"{new string(' ', place.Character)}{text[start..]}\n}}\n";
    }

    private static bool NeedsClass(MemberDeclarationSyntax member) => member
        is BaseMethodDeclarationSyntax or BasePropertyDeclarationSyntax or BaseFieldDeclarationSyntax
        or IncompleteMemberSyntax;

    // Behind what has to come before every declaration.
    private static int Start(CompilationUnitSyntax root)
    {
        var before = root.Externs.Cast<SyntaxNode>().Concat(root.Usings).Concat(root.AttributeLists);
        var directives = root.GetFirstToken(includeZeroWidth: true).LeadingTrivia
            .Where(t => t.IsKind(SyntaxKind.DefineDirectiveTrivia) || t.IsKind(SyntaxKind.UndefDirectiveTrivia));
        return before.Select(n => n.Span.End).Concat(directives.Select(t => t.FullSpan.End))
            .DefaultIfEmpty(0).Max();
    }
}
