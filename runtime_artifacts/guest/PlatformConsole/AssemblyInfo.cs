using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Platform.Console")]
[assembly: AssemblyDescription("The console, as .NET has it where input and output are redirected.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
