using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Json")]
[assembly: AssemblyDescription("JSON for functions that ask for it.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
