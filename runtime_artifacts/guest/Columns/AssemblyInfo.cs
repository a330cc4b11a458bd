using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Columns")]
[assembly: AssemblyDescription("Columns on their way to methods and back, as bytes.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
