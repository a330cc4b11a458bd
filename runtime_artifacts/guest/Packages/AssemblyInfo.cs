using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Packages")]
[assembly: AssemblyDescription("NuGet's rules of versions and target frameworks as a hosted function.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
