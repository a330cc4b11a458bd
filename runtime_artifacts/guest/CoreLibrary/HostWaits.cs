using System;
using System.Runtime.CompilerServices;

namespace System.Threading
{
    /// <summary>
    /// Waiting on the one thread there is. Woven into the core library, where its methods stand in
    /// for those that wait in native code (<c>runtime_artifacts/pipeline/replacements.py</c>).
    /// </summary>
    /// <remarks>
    /// What other threads would do meanwhile - queued work, timers, answers of the host - is done
    /// here, until it has ended the wait. Then the host sleeps until there is more of it. If there
    /// never will be, nothing can end the wait, and that is an exception.
    /// </remarks>
    internal static unsafe class HostWaits
    {
        /// <summary>HostGate.cs: sleep; the argument is the address of a <see cref="Request"/>.</summary>
        private const int Wait = -8;

        /// <summary>Waits inside of work that is done during waits. Each has frames on one stack.</summary>
        private const int Deepest = 200;

        private const string Never =
            "This wait can never end: there is one thread, no work is queued, no timer is set and no "
            + "answer of the host is awaited. Use await instead of blocking, or give a timeout.";

        private const string Inner =
            "This wait can never end: it is inside of another one, on the one thread there is, and "
            + "nothing else is queued, set or awaited. Use await instead of blocking.";

        private const string TooDeep =
            "This wait is inside of 200 others on the one thread there is. Use await instead of blocking.";

        private static Waiter s_waiters;
        private static int s_depth;
        private static long* s_running;

        /// <summary>LowLevelMonitor.WaitCore: all of WaitHandle ends here.</summary>
        public static void WaitForSignal(ref LowLevelMonitor monitor)
        {
            try
            {
                Block(-1);
            }
            catch
            {
                Withdraw();
                throw;
            }
        }

        /// <summary>The same with a timeout; false when it is over.</summary>
        public static bool WaitForSignal(ref LowLevelMonitor monitor, int milliseconds)
        {
            if (milliseconds >= 0)
            {
                return Block(milliseconds);
            }

            WaitForSignal(ref monitor);
            return true;
        }

        /// <summary>WaitSubsystem.Sleep.</summary>
        public static void Sleep(int milliseconds, bool interruptible)
        {
            if (milliseconds == 0)
            {
                Yield();
                return;
            }

            if (milliseconds < 0)
            {
                while (true)
                {
                    Block(-1);
                }
            }

            long end = Environment.TickCount64 + milliseconds;
            for (long left = milliseconds; left > 0; left = end - Environment.TickCount64)
            {
                Block((int)left);
            }
        }

        /// <summary>Thread.Yield: let others run. True if there were any.</summary>
        public static bool Yield() => s_depth < Deepest && RunDue(Environment.TickCount64);

        /// <summary>Thread.Join. There is no other thread, so this is itself or was never started.</summary>
        public static bool Join(Thread thread, int milliseconds)
        {
            if (milliseconds < -1)
            {
                throw new ArgumentOutOfRangeException("millisecondsTimeout");
            }

            if (thread != Thread.CurrentThread || milliseconds == 0)
            {
                return Thread.JoinInternal(thread, milliseconds);
            }

            Sleep(milliseconds, true);
            return false;
        }

        /// <summary>
        /// Monitor.ObjWait. The lock stays taken: others run on this thread, which has it.
        /// </summary>
        public static bool WaitForPulse(int milliseconds, object target)
        {
            if (milliseconds < -1)
            {
                throw new ArgumentOutOfRangeException("millisecondsTimeout");
            }

            if (!ObjectHeader.HasOwner(target))
            {
                throw new SynchronizationLockException();
            }

            Waiter waiter = new Waiter(target);
            Append(waiter);
            try
            {
                long end = Environment.TickCount64 + milliseconds;
                for (long left = milliseconds; !waiter.Pulsed; left = end - Environment.TickCount64)
                {
                    if (milliseconds >= 0 && left <= 0)
                    {
                        return false;
                    }

                    Block(milliseconds < 0 ? -1 : (int)left);
                }

                return true;
            }
            finally
            {
                Remove(waiter);
            }
        }

        /// <summary>SpinLock.ContinueTryEnter: the lock is taken, and by this thread.</summary>
        public static void EnterSpinLock(ref SpinLock target, int milliseconds, ref bool lockTaken)
        {
            if (lockTaken)
            {
                lockTaken = false;
                throw new ArgumentException(SR.SpinLock_TryReliableEnter_ArgumentException);
            }

            if (milliseconds < -1)
            {
                throw new ArgumentOutOfRangeException(
                    "millisecondsTimeout", milliseconds, SR.SpinLock_TryEnter_ArgumentOutOfRange);
            }

            bool knowsOwner = target.IsThreadOwnerTrackingEnabled;
            int self = Environment.CurrentManagedThreadId;
            if (knowsOwner && target._owner == self)
            {
                throw new LockRecursionException(SR.SpinLock_TryEnter_LockRecursionException);
            }

            long end = Environment.TickCount64 + milliseconds;
            while (true)
            {
                int owner = target._owner;
                if (knowsOwner ? owner == 0 : (owner & 1) == 0)
                {
                    target._owner = knowsOwner ? self : owner | 1;
                    lockTaken = true;
                    return;
                }

                long left = milliseconds < 0 ? -1 : end - Environment.TickCount64;
                if (milliseconds == 0 || (milliseconds > 0 && left <= 0))
                {
                    return;
                }

                Block((int)left);
            }
        }

        /// <summary>Monitor.ObjPulse.</summary>
        public static void Pulse(object target) => Pulse(target, false);

        /// <summary>Monitor.ObjPulseAll.</summary>
        public static void PulseAll(object target) => Pulse(target, true);

        private static void Pulse(object target, bool all)
        {
            if (!ObjectHeader.HasOwner(target))
            {
                throw new SynchronizationLockException();
            }

            for (Waiter waiter = s_waiters; waiter != null; waiter = waiter.Next)
            {
                if (waiter.Target == target && !waiter.Pulsed)
                {
                    waiter.Pulsed = true;
                    if (!all)
                    {
                        return;
                    }
                }
            }
        }

        private static void Append(Waiter waiter)
        {
            if (s_waiters == null)
            {
                s_waiters = waiter;
                return;
            }

            Waiter last = s_waiters;
            while (last.Next != null)
            {
                last = last.Next;
            }

            last.Next = waiter;
        }

        private static void Remove(Waiter waiter)
        {
            if (s_waiters == waiter)
            {
                s_waiters = waiter.Next;
                return;
            }

            for (Waiter one = s_waiters; one != null; one = one.Next)
            {
                if (one.Next == waiter)
                {
                    one.Next = waiter.Next;
                    return;
                }
            }
        }

        /// <summary>
        /// Do what is due, or sleep until something is. False when so many milliseconds are over; -1
        /// for no end.
        /// </summary>
        private static bool Block(int milliseconds)
        {
            if (s_depth >= Deepest)
            {
                if (milliseconds < 0)
                {
                    throw new PlatformNotSupportedException(TooDeep);
                }

                return Ask(milliseconds) == Request.Delivered;
            }

            long now = Environment.TickCount64;
            if (RunDue(now))
            {
                return true;
            }

            long timer = TimerQueue.s_shortestDueTimeMs - now;
            bool early = timer < int.MaxValue && (milliseconds < 0 || timer < milliseconds);
            s_depth++;
            Thread thread = Thread.CurrentThread;
            WaitSubsystem.ThreadWaitInfo info = thread._waitInfo;
            thread._waitInfo = null;
            int answer;
            try
            {
                answer = Ask(early ? (int)timer : milliseconds);
            }
            finally
            {
                thread._waitInfo = info;
                s_depth--;
            }

            if (answer == Request.NothingComes)
            {
                throw new PlatformNotSupportedException(s_depth == 0 ? Never : Inner);
            }

            return early || answer == Request.Delivered;
        }

        private static int Ask(int milliseconds)
        {
            Request request;
            request.Milliseconds = milliseconds;
            request.Answer = Request.TimeIsOver;
#pragma warning disable CS0436 // the core library has a class of that name, which this one joins
            Interop.Runtime.InvokeJSImportST(Wait, (IntPtr)(&request));
            return request.Answer;
        }

        /// <summary>Queued work, else the timers that are due. False if there is neither.</summary>
        private static bool RunDue(long now)
        {
            bool queued = ThreadPool._callbackQueued;
            if (!queued && TimerQueue.s_shortestDueTimeMs > now)
            {
                return false;
            }

            Thread thread = Thread.CurrentThread;
            ExecutionContext context = thread._executionContext;
            SynchronizationContext synchronization = thread._synchronizationContext;
            WaitSubsystem.ThreadWaitInfo info = thread._waitInfo;
            Collections.Generic.List<TimerQueue> firing = TimerQueue.s_scheduledTimersToFire;
            long* running = Running();
            long call = running == null ? 0 : *running;
            s_depth++;
            thread._waitInfo = null;
            Switch(thread, context, null);
            thread._synchronizationContext = null;
            try
            {
                if (queued)
                {
                    ThreadPool._callbackQueued = false;
                    ThreadPoolWorkQueue.Dispatch();
                }
                else
                {
                    // A timer's callback may be what waits: its list is being walked.
                    TimerQueue.s_scheduledTimersToFire = new Collections.Generic.List<TimerQueue>();
                    TimerQueue.s_shortestDueTimeMs = long.MaxValue;
                    TimerQueue.ReplaceNextTimer(TimerQueue.PumpTimerQueue(now), now);
                }
            }
            catch (Exception exception)
            {
                Environment.FailFast("An exception left work that was done during a wait", exception);
            }

            TimerQueue.s_scheduledTimersToFire = firing;
            Switch(thread, thread._executionContext, context);
            thread._synchronizationContext = synchronization;
            thread._waitInfo = info;
            if (running != null)
            {
                *running = call;
            }

            s_depth--;
            return true;
        }

        private static void Switch(Thread thread, ExecutionContext from, ExecutionContext to)
        {
            if (from != to)
            {
                ExecutionContext.RestoreChangedContextToThread(thread, to, from);
            }
        }

        /// <summary>Frame.cs: where the host reads which call and function run.</summary>
        private static long* Running()
        {
            if (s_running == null && AppContext.GetData("MinimalRuntime.Running") is object address)
            {
                s_running = (long*)(IntPtr)address;
            }

            return s_running;
        }

        /// <summary>A wait on handles ends with an exception: no handle may find it there.</summary>
        private static void Withdraw()
        {
            WaitSubsystem.ThreadWaitInfo info = Thread.CurrentThread._waitInfo;
            if (info != null && info._waitedCount > 0)
            {
                info.UnregisterWait();
            }
        }

        private sealed class Waiter
        {
            public readonly object Target;
            public bool Pulsed;
            public Waiter Next;

            public Waiter(object target)
            {
                Target = target;
            }
        }

        /// <summary>One crossing; <c>dotnet_wasm_host/imports/waits.py</c>.</summary>
        private struct Request
        {
            public const int TimeIsOver = 0;

            /// <summary>Something happened that the wait may be for.</summary>
            public const int Delivered = 1;

            /// <summary>There was no end, and nothing is left that could come.</summary>
            public const int NothingComes = 2;

            public int Milliseconds;
            public int Answer;
        }
    }
}

// Mono registers its internal calls by the name of class and method, whatever the assembly.
internal static partial class Interop
{
    internal static class Runtime
    {
        [MethodImpl(MethodImplOptions.InternalCall)]
        public static extern void InvokeJSImportST(int number, IntPtr argument);
    }
}
