using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Compression")]
[assembly: AssemblyDescription("Brotli decoding in C#, for functions that ask for the capability.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
