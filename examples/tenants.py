"""Three tenants in one runtime. One throws, one never returns; the third does not notice.

Prints::

    careful   -> b'6'
    careless  -> System.DivideByZeroException: Attempted to divide by zero.
    stuck     -> stopped: the call ran past its deadline and was stopped; give it a longer timeout, or have it do less
    careful   -> b'6'
    loaded: ['careful', 'careless', 'stuck']
"""  # noqa: E501 - it is what is printed

import dotnet_wasm_host as dwh

TENANTS = {
    "careful": "return [(byte)('0' + input.Length)];",
    "careless": "return new byte[1 / (input.Length - 6)];",
    "stuck": "while (true) { }",
}


def handler(body: str) -> dwh.Assembly:
    return dwh.compile_csharp(
        f"""
        using System;
        public sealed class Handler : MinimalRuntime.IFunctionHandler {{
            public byte[] Execute(ReadOnlySpan<byte> input) {{ {body} }}
        }}"""
    )


def call(runtime: dwh.Runtime, tenant: str) -> str:
    try:
        return repr(runtime.invoke(tenant, b"abcdef"))
    except dwh.InvocationError as error:
        return f"{error.dotnet_type}: {error.dotnet_message}"
    except dwh.InvocationTimeout as error:
        return f"stopped: {error}"


with dwh.Runtime(limits=dwh.Limits(timeout=0.5)) as runtime:
    for tenant, body in TENANTS.items():
        runtime.load_assembly(tenant, handler(body))
    for tenant in (*TENANTS, "careful"):
        print(f"{tenant:9} -> {call(runtime, tenant)}")
    print("loaded:", list(runtime.functions))
