using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.JsonCapability")]
[assembly: AssemblyDescription("JSON for functions that ask for the capability.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
