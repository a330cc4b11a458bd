using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Http")]
[assembly: AssemblyDescription("HTTP for functions that ask for it.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
