"""Greenlets of one thread that call guests; each case has a process of its own to patch."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("gevent")

COMMON = """
import faulthandler, sys
faulthandler.dump_traceback_later(150, exit=True)
{patch}
import dotnet_wasm_host as dwh
function = dwh.compile_csharp('''
using System; using System.Text; using MinimalRuntime;
public sealed class Handler : IFunctionHandler {{
    static int calls;
    public byte[] Execute(ReadOnlySpan<byte> input) {{
        calls++;
        if (input.Length == 0) while (true) {{ }}
        if (input[0] == (byte)'!')
        {{
            Host.Call("h", input.Slice(1));
            System.Runtime.InteropServices.Marshal.WriteInt32((IntPtr)(-16), 1);
        }}
        byte[] answer = input[0] == (byte)'=' ? input.ToArray() : Host.Call("h", input);
        try {{ throw new Exception("x"); }} catch (Exception) {{ }}
        return Encoding.UTF8.GetBytes($"{{Encoding.UTF8.GetString(answer)}} {{calls}}");
    }}
}}
''')
{code}
print("RIGHT")
"""
PATCH = "from gevent import monkey; monkey.patch_all()"
LATE = "import dotnet_wasm_host; from gevent import monkey; monkey.patch_all()"
patches = pytest.mark.parametrize("patch", ["", PATCH, LATE], ids=["plain", "patched", "late"])


def run(code: str, patch: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", COMMON.format(patch=patch, code=code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1:] == ["RIGHT"], done.stdout
    assert done.stderr == ""


@patches
@pytest.mark.parametrize("sleeps", [(0.3, 0.1), (0.1, 0.3), (0.05, 0.1, 0.02, 0.04)])
def test_calls_end_in_any_order(patch: str, sleeps: tuple[float, ...]) -> None:
    run(
        f"""
import gevent
def sleep(data):
    gevent.sleep(float(data)); return data
def call(seconds):
    with dwh.Runtime(host_functions={{"h": sleep}}) as runtime:
        runtime.load_assembly("f", function)
        return [runtime.invoke("f", str(seconds).encode()) for _ in range(2)]
jobs = [gevent.spawn(call, seconds) for seconds in {sleeps}]
gevent.joinall(jobs, raise_error=True)
for job, seconds in zip(jobs, {sleeps}):
    said = str(seconds).encode()
    assert job.value == [said + b" 1", said + b" 2"], job.value
""",
        patch,
    )


@patches
def test_guests_die_in_any_order(patch: str) -> None:
    """An engine finds where a trap goes to by what it has put on the stack."""
    run(
        """
import gevent
def sleep(data):
    gevent.sleep(float(data)); return data
def call(payload):
    with dwh.Runtime(host_functions={"h": sleep}) as runtime:
        runtime.load_assembly("f", function)
        found = []
        for _ in range(2):
            try:
                found.append(runtime.invoke("f", payload).split()[0])
            except dwh.GuestTrap:
                found.append(b"!")
        return found
payloads = [b"!0.1", b"0.2", b"!0.05", b"!0.3", b"0.02"]
jobs = [gevent.spawn(call, payload) for payload in payloads]
gevent.joinall(jobs, raise_error=True)
for job, payload in zip(jobs, payloads):
    assert job.value == [b"!" if payload[:1] == b"!" else payload] * 2, job.value
""",
        patch,
    )


@pytest.mark.parametrize("patch", [PATCH, LATE], ids=["patched", "late"])
def test_a_pool_serves_greenlets(patch: str) -> None:
    run(
        """
import gevent
def sleep(data):
    gevent.sleep(float(data)); return data
with dwh.RuntimePool(size=3, host_functions={"h": sleep}) as pool:
    pool.load_assembly("f", function)
    sleeps = [b"0.0%d" % (7 * i % 10) for i in range(24)]
    jobs = [gevent.spawn(pool.invoke, "f", data) for data in sleeps]
    gevent.joinall(jobs, raise_error=True)
    assert [job.value.split()[0] for job in jobs] == sleeps
""",
        patch,
    )


@patches
def test_deadlines_and_cancellations_come(patch: str) -> None:
    run(
        """
import gevent, threading, time
def sleep(data):
    gevent.sleep(float(data)); return data
def overrun():
    with dwh.Runtime() as runtime:
        runtime.load_assembly("f", function)
        start = time.monotonic()
        try:
            runtime.invoke("f", b"", timeout=0.3)
        except dwh.InvocationTimeout:
            assert time.monotonic() - start < 20
            return runtime.invoke("f", b"=") == b"= 1"
jobs = [gevent.spawn(overrun) for _ in range(2)]
gevent.joinall(jobs, raise_error=True)
assert [job.value for job in jobs] == [True, True]

# One that waits for its turn is stopped there, and its guest lives on.
first, second = (dwh.Runtime(host_functions={"h": sleep}) for _ in range(2))
for runtime in (first, second):
    runtime.load_assembly("f", function)
assert second.invoke("f", b"=") == b"= 1"
def give_up():
    try:
        second.invoke("f", b"=", timeout=0.2)
    except dwh.InvocationTimeout as error:
        return error
jobs = [gevent.spawn(first.invoke, "f", b"2"), gevent.spawn(give_up)]
gevent.joinall(jobs, raise_error=True)
assert jobs[0].value == b"2 1"
assert isinstance(jobs[1].value, dwh.InvocationTimeout), jobs[1].value
first.close(); second.close()
""",
        patch,
    )


def test_greenlets_without_a_hub_are_refused_and_their_guests_live_on() -> None:
    run(
        """
import greenlet
main = greenlet.getcurrent()
def switch(data):
    main.switch(); return data
first, second = (dwh.Runtime(host_functions={"h": switch}) for _ in range(2))
for runtime in (first, second):
    runtime.load_assembly("f", function)
assert second.invoke("f", b"=") == b"= 1"
job = greenlet.greenlet(lambda: first.invoke("f", b"x"))
job.switch()
for _ in range(3):
    try:
        second.invoke("f", b"=")
        raise SystemExit("it was let in")
    except dwh.ThreadOccupied as error:
        assert "greenlet" in str(error)
assert job.switch() == b"x 1"
assert second.invoke("f", b"=") == b"= 2"

# A greenlet that is ended inside of its guest leaves nothing in the way of the others.
job = greenlet.greenlet(lambda: first.invoke("f", b"x"))
job.switch()
assert isinstance(job.throw(), greenlet.GreenletExit)
assert second.invoke("f", b"=") == b"= 3"
assert first.invoke("f", b"=") == b"= 1"
first.close(); second.close()
""",
        "",
    )


def test_a_guest_inside_of_a_guest_is_the_same_greenlets() -> None:
    run(
        """
import greenlet
inner = dwh.Runtime()
inner.load_assembly("f", function)
outer = dwh.Runtime(host_functions={"h": lambda data: inner.invoke("f", b"=")})
outer.load_assembly("f", function)
job = greenlet.greenlet(lambda: outer.invoke("f", b"x"))
assert job.switch() == b"= 1 1"
inner.close(); outer.close()
""",
        "",
    )


def test_another_threads_guest_is_not_in_the_way() -> None:
    """This thread was the last one inside of a guest that another thread is inside of now."""
    run(
        """
import threading
inside, go_on = threading.Event(), threading.Event()
def wait(data):
    inside.set(); go_on.wait(); return data
first, second = (dwh.Runtime(host_functions={"h": wait}) for _ in range(2))
for runtime in (second, first):
    runtime.load_assembly("f", function)
assert first.invoke("f", b"=") == b"= 1"
thread = threading.Thread(target=first.invoke, args=("f", b"x"))
thread.start()
inside.wait()
assert second.invoke("f", b"=") == b"= 1"
go_on.set()
thread.join()
first.close(); second.close()
""",
        "",
    )
