using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Platform")]
[assembly: AssemblyDescription("What .NET's build for browsers leaves to the platform and has none for.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
