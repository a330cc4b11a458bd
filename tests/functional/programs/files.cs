using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;

namespace Programs;

/// <summary>Carries out file operations, one list each, and answers with a result for each.</summary>
public sealed class Files : JsonHandler
{
    protected override object? Answer(JsonElement question) =>
        question.EnumerateArray().Select(step =>
        {
            var a = step.EnumerateArray().ToArray();
            try
            {
                return Do(a[0].GetString()!, a.Length > 1 ? a[1].GetString()! : "", a.Length > 2 ? a[2] : default);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                return $"!{e.GetType().Name}";
            }
        }).ToArray();

    private static object? Do(string operation, string path, JsonElement argument)
    {
        switch (operation)
        {
            case "write":
                File.WriteAllText(path, argument.GetString());
                return null;
            case "append":
                File.AppendAllText(path, argument.GetString());
                return null;
            case "read":
                return File.ReadAllText(path);
            case "lines":
                return File.ReadLines(path).ToArray();
            case "bytes":
                return File.ReadAllBytes(path);
            case "exists":
                return File.Exists(path) ? "file" : Directory.Exists(path) ? "directory" : "nothing";
            case "delete":
                File.Delete(path);
                return null;
            case "move":
                File.Move(path, argument.GetString()!);
                return null;
            case "copy":
                File.Copy(path, argument.GetString()!);
                return null;
            case "length":
                return new FileInfo(path).Length;
            case "mkdir":
                Directory.CreateDirectory(path);
                return null;
            case "rmdir":
                Directory.Delete(path, recursive: argument.ValueKind == JsonValueKind.True);
                return null;
            case "list":
                return Directory.EnumerateFileSystemEntries(path).Order(StringComparer.Ordinal).ToArray();
            case "tree":
                return Directory.GetFiles(path, argument.GetString()!, SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray();
            case "movedir":
                Directory.Move(path, argument.GetString()!);
                return null;
            case "cwd":
                if (path.Length != 0)
                {
                    Directory.SetCurrentDirectory(path);
                }

                return Directory.GetCurrentDirectory();
            case "modified":
                return new DateTimeOffset(File.GetLastWriteTimeUtc(path)).ToUnixTimeSeconds();
            case "touch":
                File.SetLastWriteTimeUtc(path, DateTimeOffset.FromUnixTimeSeconds(argument.GetInt64()).UtcDateTime);
                return null;
            case "readonly":
                File.SetAttributes(path, FileAttributes.ReadOnly);
                return null;
            case "full":
                return Path.GetFullPath(path);
            case "temp":
                var temp = Path.GetTempFileName();
                File.WriteAllText(temp, path);
                return new[] { File.ReadAllText(temp), Path.GetTempPath(), Path.GetDirectoryName(temp)! };
            case "seek":
                return Seek(path);
            case "link":
                File.CreateSymbolicLink(path, argument.GetString()!);
                return null;
            case "target":
                return File.ResolveLinkTarget(path, returnFinalTarget: false)?.FullName;
            case "mode":
                return (int)File.GetUnixFileMode(path);
            case "chmod":
                File.SetUnixFileMode(path, (UnixFileMode)argument.GetInt32());
                return null;
            case "stream":
                return Stream(path);
            case "exit":
                Environment.Exit(3);
                return null;
            case "random":
                using (var stream = File.OpenRead("/dev/urandom"))
                {
                    var bytes = new byte[8];
                    stream.ReadExactly(bytes);
                    return bytes;
                }

            default:
                throw new NotSupportedException(operation);
        }
    }

    /// <summary>Opens to append, then reads what is near the end, in small pieces.</summary>
    private static object Stream(string path)
    {
        using (var appending = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.None, 7))
        {
            for (var i = 0; i < 1000; i++)
            {
                appending.Write(Encoding.ASCII.GetBytes($"{i};"));
            }
        }

        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 16);
        stream.Position = stream.Length - 8;
        using var reader = new StreamReader(stream);
        return new object[] { stream.Length, reader.ReadToEnd() };
    }

    private static object Seek(string path)
    {
        using var stream = new FileStream(path, FileMode.Create, FileAccess.ReadWrite);
        stream.Write("0123456789"u8);
        stream.Seek(-4, SeekOrigin.End);
        var six = stream.ReadByte();
        stream.Position = 2;
        stream.Write("AB"u8);
        stream.Flush(flushToDisk: true);
        stream.SetLength(12);
        stream.Seek(0, SeekOrigin.Begin);
        using var reader = new BinaryReader(stream, Encoding.ASCII, leaveOpen: true);
        var all = reader.ReadBytes(100);
        stream.SetLength(3);
        return new object[] { six, Encoding.ASCII.GetString(all), stream.Length };
    }
}
