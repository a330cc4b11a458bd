using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "main", worker = .main) ],
  sockets = [ (name = "http", http = (), service = "main") ] );
const main :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "minimal-runtime.wasm", wasm = embed "minimal-runtime.wasm") ],
  compatibilityDate = "2026-01-12",
  durableObjectNamespaces = [ (className = "MinimalRuntimeDO", uniqueKey = "one") ],
  durableObjectStorage = (inMemory = void),
  bindings = [ (name = "DO", durableObjectNamespace = "MinimalRuntimeDO") ] );
