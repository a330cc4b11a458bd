using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Session")]
[assembly: AssemblyDescription("Cells of C# that keep what the ones before have declared.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
