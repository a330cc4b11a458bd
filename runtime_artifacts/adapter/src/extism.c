// An Extism plugin: input, output and errors are blocks of the host, reached by its calls
// (extism/extism, kernel/src/lib.rs).
#include "adapter.h"

#define EXTISM(name) IMPORT("extism:host/env", name)
EXTISM("input_length") u64 extism_input_length(void);
EXTISM("input_load_u8") u32 extism_input_load_u8(u64);
EXTISM("input_load_u64") u64 extism_input_load_u64(u64);
EXTISM("alloc") u64 extism_alloc(u64);
EXTISM("store_u8") void extism_store_u8(u64, u32);
EXTISM("store_u64") void extism_store_u64(u64, u64);
EXTISM("output_set") void extism_output_set(u64, u64);
EXTISM("error_set") void extism_error_set(u64);

static u64 give(const u8 *bytes, u32 length) {
  u64 block = extism_alloc(length ? length : 1);
  u32 i = 0;
  for (; i + 8 <= length; i += 8) extism_store_u64(block + i, *(const u64 *)(bytes + i));
  for (; i < length; i++) extism_store_u8(block + i, bytes[i]);
  return block;
}
static u8 *take(u32 length) {
  u8 *bytes = allocate(length);
  u32 i = 0;
  for (; i + 8 <= length; i += 8) *(u64 *)(bytes + i) = extism_input_load_u64(i);
  for (; i < length; i++) bytes[i] = (u8)extism_input_load_u8(i);
  return bytes;
}
// "Type: message" of an ErrorRecord.
static void give_error(void) {
  if (state.error_length < 16) {
    extism_error_set(give(LITERAL("the function failed")));
    return;
  }
  const u8 *type = (const u8 *)state.error + 4, *message = type + 4 + *(const u32 *)type;
  u32 type_length = *(const u32 *)type, message_length = *(const u32 *)message;
  u8 *text = allocate(type_length + 2 + message_length);
  copy(text, type + 4, type_length);
  copy(text + type_length, ": ", 2);
  copy(text + type_length + 2, message + 4, message_length);
  extism_error_set(give(text, type_length + 2 + message_length));
  free(text);
}

static u32 output, output_length;
// An export for each function calls this with a constant, the function's place in the order of loading.
EXPORT("extism_call") i32 extism_call(u32 place) {
  if (state.inside) return 1;
  start();
  Entry *entry = layout.functions;
  while (entry && place--) entry = entry->next;
  u64 length = extism_input_length();
  if (!entry || length > 1u << 30) return 1;
  u8 *input = take((u32)length);
  i32 status = invoke(entry->id, entry->length, input, (u32)length, &output, &output_length);
  free(input);
  if (status) {
    give_error();
    return 1;
  }
  extism_output_set(give((const u8 *)output, output_length), output_length);
  free((void *)output);
  return 0;
}
