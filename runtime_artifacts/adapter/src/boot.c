// Booting .NET at the start, for files that carry assemblies instead of a booted memory. The order is
// that of dotnet_wasm_host/images/boot.py.
#include "adapter.h"

IMPORT("mono", "__wasm_call_ctors") void call_constructors(void);
IMPORT("mono", "mono_wasm_add_assembly") i32 mono_add_assembly(const void *name, const void *data, u32 size);
IMPORT("mono", "mono_wasm_load_runtime") void mono_load_runtime(i32 debug, i32 count, void *keys, void *values);
IMPORT("mono", "mono_wasm_assembly_load") u32 mono_assembly_load(const void *name);
IMPORT("mono", "mono_wasm_assembly_find_class") u32 mono_find_class(u32 image, const void *space, const void *name);
IMPORT("mono", "mono_wasm_assembly_find_method") u32 mono_find_method(u32 class, const void *name, i32 parameters);

// The block begins with three counts, of assemblies, properties and functions, and an Item for each.
// Positions are from the block's start. A function's data is a request of `load_request`.
typedef struct { u32 name, data, data_length, name_length; } Item;

void boot(void) {
  const void *from = (const void *)layout.assemblies;
  call_constructors();
  u8 *block = allocate(layout.bytes);
  copy(block, from, layout.bytes);
  clear((void *)from, layout.bytes);  // that memory is the heap's
  const u32 *counts = (const u32 *)block;
  const Item *item = (const Item *)(counts + 4);
  for (u32 i = 0; i < counts[0]; i++, item++) mono_add_assembly(block + item->name, block + item->data, item->data_length);
  u32 *keys = allocate(4 * counts[1]), *values = allocate(4 * counts[1]);
  for (u32 i = 0; i < counts[1]; i++, item++) {
    keys[i] = (u32)block + item->name;
    values[i] = (u32)block + item->data;
  }
  mono_load_runtime(0, (i32)counts[1], keys, values);
  mono_background_exec();  // the first round starts the finalizer, which has no thread
  u32 image = mono_assembly_load("MinimalRuntime");
  u32 class = image ? mono_find_class(image, "MinimalRuntime", "EntryPoints") : 0;
  if (!class) __builtin_trap();
  u32 initialize = mono_find_method(class, "Initialize", -1);
  layout.invoke = mono_find_method(class, "Invoke", -1);
  layout.load = mono_find_method(class, "Load", -1);
  layout.unload = mono_find_method(class, "Unload", -1);
  layout.collect = mono_find_method(class, "Collect", -1);
  u32 *arguments = allocate(4);
  arguments[0] = (u32) "dotnet";
  mono_set_main_args(1, arguments);
  layout.frame = clear(allocate(sizeof *layout.frame), sizeof *layout.frame);
  enter(initialize, 0, NULL, 0);
  for (u32 i = 0; i < counts[2]; i++, item++) {
    if (load_request(block + item->name, item->name_length, block + item->data, item->data_length)) __builtin_trap();
  }
  state.inside = 1;  // start() is not over
}
