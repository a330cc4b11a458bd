"""What a runtime lends to each of its guests, and closes when it is closed itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.imports.host_functions import HostFunctions
from dotnet_wasm_host.imports.javascript.http import http_access, http_module, http_tenant
from dotnet_wasm_host.imports.services import HostServices
from dotnet_wasm_host.options import HttpPolicy, require_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.fetch.tenant import HttpTenant

__all__ = ["LentServices"]


@final
class LentServices:
    """Host functions and HTTP.

    Args:
        host_functions: by name; or a pool's, which the pool closes.
        http: a policy; or a tenant of a pool.
        wake: called when something has arrived for the guest.
        memory_bytes: of an instance, ``Limits.memory_bytes``.

    Attributes:
        offered: what every guest may call.
    """

    __slots__ = ("_functions", "_http", "_tenant", "offered")

    def __init__(
        self,
        host_functions: Mapping[str, Callable[[bytes], Any]] | HostFunctions | None,
        http: HttpPolicy | HttpTenant | None,
        wake: Callable[[], object],
        memory_bytes: int,
    ) -> None:
        if not hasattr(http, "leave"):  # as a pool's tenant has
            require_type("http", http, HttpPolicy)
        self._functions: HostFunctions | None = None
        lent = None
        if host_functions is not None:
            if not isinstance(host_functions, HostFunctions):
                host_functions = self._functions = HostFunctions(host_functions)
            # As much as one instance may have kept, for all that there ever are.
            lent = host_functions.lend(memory_bytes // 2)
        self._http = http_access(http) if isinstance(http, HttpPolicy) else None
        self._tenant = http if not isinstance(http, HttpPolicy) else None
        if self._http is not None:
            self._tenant = http_tenant(self._http)
        self.offered: HostServices = HostServices(
            javascript=(http_module(self._tenant),), functions=lent, wake=wake
        )

    def close(self) -> None:
        """Close what was made here; leave what was lent by a pool."""
        if self._functions is not None:
            self._functions.close()
        if self._http is not None:
            self._http.close()
        elif self._tenant is not None:
            self._tenant.leave()
