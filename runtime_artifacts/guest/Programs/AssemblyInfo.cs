using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Programs")]
[assembly: AssemblyDescription("Runs programs: assemblies with an entry point.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
