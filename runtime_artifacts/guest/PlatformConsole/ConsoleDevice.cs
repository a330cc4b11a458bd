using System;
using System.IO;
using System.Text;

namespace MinimalRuntime.Platform;

/// <summary>
/// What <c>System.ConsolePal</c> of .NET's build for browsers throws at: a console whose input and
/// output are redirected, as .NET has it on Unix. Methods have the names and signatures of those that
/// are redirected here.
/// </summary>
internal static class ConsoleDevice
{
    private const ConsoleColor Unknown = (ConsoleColor)(-1);
    private const int Columns = 80;
    private const int Rows = 24;
    private static ConsoleColor foreground = Unknown;
    private static ConsoleColor background = Unknown;

    public static bool get_IsInputRedirected() => true;

    public static bool get_IsOutputRedirected() => true;

    public static bool get_IsErrorRedirected() => true;

    public static bool get_KeyAvailable() =>
        throw new InvalidOperationException(
            "Cannot see if a key has been pressed when either application does not have a console or when " +
            "console input has been redirected from a file. Try Console.In.Peek.");

    public static ConsoleKeyInfo ReadKey(bool intercept) =>
        throw new InvalidOperationException(
            "Cannot read keys when either application does not have a console or when console input has been " +
            "redirected. Try Console.Read.");

    public static Stream OpenStandardInput() => new StandardInputStream();

    public static TextReader GetOrCreateReader() =>
        TextReader.Synchronized(new StreamReader(new StandardInputStream(), bufferSize: 4096));

    public static Encoding get_InputEncoding() => Encoding.UTF8;

    public static void SetConsoleInputEncoding(Encoding enc)
    {
    }

    public static bool get_TreatControlCAsInput() => false;

    public static void set_TreatControlCAsInput(bool value)
    {
    }

    public static ConsoleColor get_ForegroundColor() => foreground;

    public static void set_ForegroundColor(ConsoleColor value) => foreground = Checked(value);

    public static ConsoleColor get_BackgroundColor() => background;

    public static void set_BackgroundColor(ConsoleColor value) => background = Checked(value);

    public static void ResetColor() => foreground = background = Unknown;

    public static int get_CursorSize() => 100;

    public static void set_CursorVisible(bool value)
    {
    }

    public static (int Left, int Top) GetCursorPosition() => (0, 0);

    public static void SetCursorPosition(int left, int top)
    {
    }

    public static void set_Title(string value)
    {
    }

    public static void Beep()
    {
    }

    public static int get_BufferWidth() => Columns;

    public static int get_BufferHeight() => Rows;

    public static int get_LargestWindowWidth() => Columns;

    public static int get_LargestWindowHeight() => Rows;

    public static int get_WindowWidth() => Columns;

    public static int get_WindowHeight() => Rows;

    /// <summary>Nobody presses Ctrl-C in here: the host stops the guest.</summary>
    public static void add_CancelKeyPress(ConsoleCancelEventHandler? value)
    {
    }

    public static void remove_CancelKeyPress(ConsoleCancelEventHandler? value)
    {
    }

    private static ConsoleColor Checked(ConsoleColor value) =>
        ((int)value & ~0xF) == 0
            ? value
            : throw new ArgumentException("The ConsoleColor enum value was not defined on that enum.");
}
