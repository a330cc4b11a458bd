// Memory, the end, and what a process is told when it starts.
#include "wasi.h"

Layout layout;
State state = {.timer_at = NEVER};

EXPORT("emscripten_get_heap_max") u32 guest_heap_max(void) { return layout.heap_max; }
// Emscripten's rule: a fifth more than there is, at most 96 MiB more than wanted; less where that fails.
EXPORT("emscripten_resize_heap") i32 guest_resize_heap(u32 wanted) {
  u32 size = __builtin_wasm_memory_size(0) << 16, most = layout.heap_max;
  if (wanted <= size) return 1;
  if (wanted <= most) {
    for (u32 part = 5; part <= 40; part *= 2) {
      u32 target = size + size / part;
      if (target - wanted > (96u << 20)) target = wanted + (96u << 20);
      if (target < wanted || part == 40) target = wanted;
      if (target > most) target = most;
      if (__builtin_wasm_memory_grow(0, (target - size + 0xFFFF) >> 16) != ~0u) return 1;
    }
  }
  state.refused = 1;
  return 0;
}

_Noreturn void stop(i32 code) {
  host_proc_exit(code < 0 || code > 125 ? 1 : code);  // wasmtime refuses 126 and more
  __builtin_trap();  // the original's host returns from proc_exit
}
EXPORT("exit") void guest_exit(i32 code) { stop(code); }
EXPORT("emscripten_force_exit") void guest_force_exit(i32 code) { stop(code); }
EXPORT("abort") void guest_abort(void) { __builtin_trap(); }
EXPORT("mono_wasm_process_current_pid") i32 guest_pid(void) { return 42; }

EXPORT("environ_sizes_get") i32 guest_environ_sizes_get(u32 *count, u32 *size) {
  *count = *size = 0;
  return host_environ_sizes_get(count, size);
}
EXPORT("environ_get") i32 guest_environ_get(u32 *list, u8 *text) { return host_environ_get(list, text); }

// The runtime keeps what it is given of these for as long as it lives.
static i32 is_sane(u32 count, u32 size) { return count && count <= 65536 && size <= 1u << 24; }
static u32 count, *list;

static void set_environment(void) {
  state.cells[0] = state.cells[1] = 0;
  if (host_environ_sizes_get(&state.cells[0], &state.cells[1]) || !is_sane(state.cells[0], state.cells[1])) return;
  count = state.cells[0];
  list = allocate(4 * count);
  if (host_environ_get(list, allocate(state.cells[1]))) return;
  for (u32 i = 0; i < count; i++) {
    u8 *name = (u8 *)list[i], *end = name;
    while (*end && *end != '=') end++;
    if (!*end) continue;
    *end = 0;
    mono_setenv(name, end + 1);
  }
}
static void set_arguments(void) {
  state.cells[0] = state.cells[1] = 0;
  if (host_args_sizes_get(&state.cells[0], &state.cells[1]) || !is_sane(state.cells[0], state.cells[1])) return;
  count = state.cells[0];
  list = allocate(4 * count);
  if (!host_args_get(list, allocate(state.cells[1]))) mono_set_main_args((i32)count, list);
}

// What a frozen memory cannot hold. An entry that finds nothing started does it.
void start(void) {
  if (state.started) return;
  state.started = state.inside = 1;
  if (layout.flags & FLAG_BOOT) boot();
  if (layout.flags & FLAG_WORK) {
    state.work = 1;
    state.timer_at = 0;
  }
  set_environment();
  if (layout.flags & (FLAG_COMMAND | FLAG_PROGRAM)) set_arguments();
  state.inside = 0;
}
