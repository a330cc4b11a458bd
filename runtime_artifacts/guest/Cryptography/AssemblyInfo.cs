using System.Reflection;

[assembly: AssemblyTitle("MinimalRuntime.Cryptography")]
[assembly: AssemblyDescription("MD5 and AES in C#, for functions that ask for the capability.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
