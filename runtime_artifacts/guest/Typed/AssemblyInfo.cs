using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Typed")]
[assembly: AssemblyDescription("Arguments and results of typed calls, as bytes.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
