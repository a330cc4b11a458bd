using System.Reflection;

namespace System
{
    /// <summary>What this build of .NET gets wrong, done right or refused with an exception.</summary>
    internal static class HostFaults
    {
        /// <summary>
        /// Before Array.CopySlow, which cannot put arrays into arrays of arrays. True if it is done.
        /// </summary>
        public static bool CopyArrays(
            Array source, int sourceIndex, Array destination, int destinationIndex, int length, bool reliable)
        {
            if (reliable || !(destination is Array[]) || !(source is object[] from)
                || sourceIndex < 0 || destinationIndex < 0 || length < 0
                || source.Length - sourceIndex < length || destination.Length - destinationIndex < length
                || !Array.CanAssignArrayElement(
                    source.GetType().GetElementType(), destination.GetType().GetElementType()))
            {
                return false; // it says what is wrong
            }

            object[] to = (object[])destination;
            try
            {
                for (int i = 0; i < length; i++)
                {
                    to[destinationIndex + i] = from[sourceIndex + i];
                }
            }
            catch (ArrayTypeMismatchException)
            {
                throw new InvalidCastException(SR.InvalidCast_DownCastArrayElement);
            }

            return true;
        }

        /// <summary>Marshal.GetFunctionPointerForDelegate.</summary>
        public static IntPtr GetFunctionPointer(Delegate target)
        {
            if (target == null)
            {
                throw new ArgumentNullException("d");
            }

            throw new PlatformNotSupportedException(
                "Native code cannot call delegates: WebAssembly makes no functions at run time. Use a "
                + "static method with UnmanagedCallersOnly, or pass the delegate itself.");
        }

        /// <summary>Before SetConstant of properties, fields and parameters that are being built.</summary>
        public static bool RefuseConstant(object builder, object value)
        {
            if (value == null || value is string || value is Enum)
            {
                return false;
            }

            Type type = value.GetType();
            if (type.IsPrimitive && type != typeof(IntPtr) && type != typeof(UIntPtr))
            {
                return false;
            }

            throw new ArgumentException(type + " cannot be a constant in metadata");
        }
    }
}
