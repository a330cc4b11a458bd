// What Mono's WebAssembly runtime asks of a JavaScript host: mostly to be left alone.
#include "adapter.h"

EXPORT("mono_wasm_trace_logger") void guest_trace(const u8 *domain, const u8 *level, const u8 *text, i32 fatal, i32 data) {
  if (text) say(text, text_length(text));
}

#define NOTHING(name, symbol, ...) EXPORT(name) void symbol(__VA_ARGS__) {}
#define REFUSE(name, symbol, ...)                                  \
  EXPORT(name) void symbol(__VA_ARGS__) {                          \
    say(LITERAL("not available without JavaScript: " name));       \
    __builtin_trap();                                              \
  }
NOTHING("mono_wasm_asm_loaded", guest_asm_loaded, i32 a, i32 b, i32 c, i32 d, i32 e)
NOTHING("mono_wasm_console_clear", guest_console_clear, void)
// The runtime is started without its debugger.
NOTHING("mono_wasm_set_entrypoint_breakpoint", guest_set_breakpoint, i32 a)
NOTHING("mono_wasm_debugger_log", guest_debugger_log, i32 a, i32 b)
NOTHING("mono_wasm_add_dbg_command_received", guest_dbg_command, i32 a, i32 b, i32 c, i32 d)
NOTHING("mono_wasm_fire_debugger_agent_message_with_data", guest_fire_debugger, i32 a, i32 b)
// Cultures are the invariant one, which asks for nothing.
EXPORT("mono_wasm_get_locale_info") i32 guest_locale_info(i32 a, i32 b, i32 c, i32 d, i32 e, i32 f, i32 g) { __builtin_trap(); }

// No jiterpreter: 1 is "this trace stays interpreted".
EXPORT("mono_interp_tier_prepare_jiterpreter") i32 guest_prepare_jiterpreter(i32 a, i32 b, i32 c, i32 d, i32 e, i32 f, i32 g, i32 h) { return 1; }
EXPORT("mono_interp_jit_wasm_entry_trampoline") i32 guest_entry_trampoline(i32 a, i32 b, i32 c, i32 d, i32 e, i32 f, i32 g, i32 h) { return 0; }
NOTHING("mono_interp_record_interp_entry", guest_record_entry, i32 a)
NOTHING("mono_interp_flush_jitcall_queue", guest_flush_jitcalls, void)
NOTHING("mono_interp_jit_wasm_jit_call_trampoline", guest_jit_call_trampoline, i32 a, i32 b, i32 c, i32 d, i32 e)
REFUSE("mono_interp_invoke_wasm_jit_call_trampoline", guest_invoke_jit_call, i32 a, i32 b, i32 c, i32 d, i32 e)
NOTHING("mono_wasm_free_method_data", guest_free_method_data, i32 a, i32 b, i32 c)

// Binding a JavaScript function fails with a text, UTF-16 that the runtime frees and throws.
EXPORT("mono_wasm_bind_js_import_ST") u32 guest_bind_import(u32 signature) {
  static const char text[] = "a standalone module has no JavaScript";
  u16 *wide = allocate(2 * sizeof text);
  for (u32 i = 0; i < sizeof text; i++) wide[i] = (u8)text[i];
  return (u32)wide;
}
NOTHING("mono_wasm_release_cs_owned_object", guest_release_object, i32 a)
NOTHING("mono_wasm_resolve_or_reject_promise", guest_resolve_promise, i32 a)
NOTHING("mono_wasm_cancel_promise", guest_cancel_promise, i32 a)
REFUSE("mono_wasm_invoke_js_function", guest_invoke_js, i32 a, i32 b)

// Calls by number. Negative ones are this project's: dotnet_wasm_host/imports/gate.py, HostGate.cs.
enum { CALL_FINISHED = -2, CALL = -1, BEGIN_CALL = -4, WITHDRAW_CALL = -5, LOG = -6, DEBUG_LINE = -7, WAIT = -8 };
// HostCalls.cs: the arguments of a call of a host function.
typedef struct {
  u32 name, name_length, input, input_length, output, capacity;
  i32 number, status, output_length;
} HostCall;

static u8 *put_text(u8 *to, const char *text, u32 length) {
  *(u32 *)to = length;
  copy(to + 4, text, length);
  return to + 4 + length;
}
static void refuse_host_call(HostCall *call) {
  static const char type[] = "HostFunctionMissing", message[] = "a standalone module has no host functions";
  u8 *record = (u8 *)call->output;
  if (call->capacity < 8 + sizeof type + sizeof message) __builtin_trap();
  u8 *end = put_text(put_text(record, type, sizeof type - 1), message, sizeof message - 1);
  call->number = 0;
  call->status = 1;
  call->output_length = end - record;
}
// HostWaits.cs: milliseconds, -1 for no end; and what came of it.
enum { TIME_IS_OVER = 0, NOTHING_COMES = 2 };
static void wait_for(u32 *request) {
  i32 milliseconds = (i32)request[0];
  request[1] = milliseconds < 0 ? NOTHING_COMES : TIME_IS_OVER;
  if (milliseconds > 0) wait_until(now(1) + (u64)milliseconds * 1000000);
}
EXPORT("mono_wasm_invoke_jsimport_ST") void guest_invoke_import(i32 number, u32 *arguments) {
  switch (number) {
  case CALL_FINISHED: state.finished = 1; return;
  case CALL:
  case BEGIN_CALL: refuse_host_call((HostCall *)arguments); return;
  case WITHDRAW_CALL: return;
  case WAIT: wait_for(arguments); return;
  case LOG: say((const u8 *)arguments[0] + 8, *(const u32 *)(arguments[0] + 4)); return;
  case DEBUG_LINE: say((const void *)arguments[0], arguments[1]); return;
  }
  say(LITERAL("a standalone module has no JavaScript"));
  __builtin_trap();
}
