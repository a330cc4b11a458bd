using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Json")]
[assembly: AssemblyDescription("Host functions called with values, as JSON.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
