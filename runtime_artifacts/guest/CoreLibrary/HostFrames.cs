namespace System.Diagnostics
{
    /// <summary>
    /// Files and lines of stack frames. Mono knows them only when it was started to be debugged; here
    /// the dispatcher looks them up in the PDB that an assembly was loaded with.
    /// </summary>
    /// <remarks>
    /// Of exceptions only: of frames of the thread itself Mono says no more than where a method begins.
    /// </remarks>
    internal static class HostFrames
    {
        private static bool s_busy;

        /// <summary>StackFrame's constructor for a frame of an exception.</summary>
        public static void Take(StackFrame self, MonoStackFrame frame, bool needFileInfo)
        {
            self._method = frame.methodBase;
            self._nativeOffset = frame.nativeOffset;
            self._ilOffset = frame.ilOffset;
            if (needFileInfo)
            {
                self._fileName = frame.fileName;
                self._lineNumber = frame.lineNumber;
                self._columnNumber = frame.columnNumber;
                Complete(self);
            }

            self._isLastFrameFromForeignExceptionStackTrace = frame.isLastFrameFromForeignException;
        }

        private static void Complete(StackFrame frame)
        {
            if (frame._fileName != null || frame._ilOffset < 0 || frame._method == null || s_busy)
            {
                return;
            }

            s_busy = true;
            try
            {
                if (AppContext.GetData("MinimalRuntime.Lines") is Action<StackFrame> find)
                {
                    find(frame);
                }
            }
            catch
            {
                // A damaged PDB, or a trimmed library that lacks what it takes.
            }

            s_busy = false;
        }
    }
}
