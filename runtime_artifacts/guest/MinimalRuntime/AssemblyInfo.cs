using System.Reflection;
using System.Runtime.CompilerServices;

[assembly: AssemblyTitle("MinimalRuntime")]
[assembly: AssemblyDescription("Base layer that hosted functions are written against.")]
[assembly: AssemblyVersion("1.0.0.0")]
[assembly: AssemblyFileVersion("1.0.0.0")]
