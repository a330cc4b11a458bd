using System.Runtime.CompilerServices;

// Apart from AssemblyInfo.cs, which is also compiled into the contract for users.
[assembly: InternalsVisibleTo("MinimalRuntime.Programs")]
