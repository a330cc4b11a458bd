"""Writing standalone modules: one WebAssembly file with .NET inside, for any host.

The artifacts have a *template*: the runtime's code, an adapter that does all it imports on WASI
preview 1, and nothing in memory. A file is the template with a memory, the imports that its host
gives, and the exports of its target.
"""
