using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Compiler")]
[assembly: AssemblyDescription("Roslyn as a hosted function.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
