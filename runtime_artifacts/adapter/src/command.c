// _start: of a library it starts .NET; of a command it is the whole run.
#include "wasi.h"

static u32 output, output_length, input_length;

// ErrorRecord.cs: a count, then type, message and trace of each exception, each behind its length.
static void report_error(void) {
  const u8 *field = (const u8 *)state.error + 4;
  if (state.error_length < 16) {
    say(LITERAL("the function failed"));
    return;
  }
  const u8 *message = field + 4 + *(const u32 *)field, *trace = message + 4 + *(const u32 *)message;
  write_all(2, LITERAL("Unhandled exception. "));
  write_all(2, field + 4, *(const u32 *)field);
  write_all(2, LITERAL(": "));
  write_all(2, message + 4, *(const u32 *)message);
  write_all(2, LITERAL("\n"));
  say(trace + 4, *(const u32 *)trace);
}
static i32 run(const u8 *input) {
  Entry *entry = layout.functions;
  i32 status = invoke(entry->id, entry->length, input, input_length, &output, &output_length);
  if (status && !(layout.flags & FLAG_PROGRAM)) report_error();  // its runner has said it
  return status;
}
// What MinimalRuntime.Programs takes: the assembly's name, which is the function's id, and the
// arguments without the program's name, each behind a NUL.
static u8 *pack_arguments(void) {
  Entry *entry = layout.functions;
  u32 count = 0, size = 0, *list = NULL;
  state.cells[0] = state.cells[1] = 0;
  if (!host_args_sizes_get(&state.cells[0], &state.cells[1]) && state.cells[0] <= 65536 && state.cells[1] <= 1u << 24) {
    count = state.cells[0];
    size = state.cells[1];
    list = allocate(4 * count);
    if (host_args_get(list, allocate(size))) count = size = 0;
  }
  u8 *packed = allocate(entry->length + size + count), *end = packed + entry->length;
  copy(packed, entry->id, entry->length);
  for (u32 i = 1; i < count; i++) {
    u32 length = text_length((const u8 *)list[i]);
    *end++ = 0;
    copy(end, (const void *)list[i], length);
    end += length;
  }
  input_length = (u32)(end - packed);
  return packed;
}

EXPORT("_start") void command(void) {
  if (state.inside) __builtin_trap();
  start();
  if (layout.flags & FLAG_PROGRAM) {
    if (run(pack_arguments())) stop(1);
    i32 code = output_length == 4 ? *(i32 *)output : 1;
    if (code) stop(code);
  } else if (layout.flags & FLAG_COMMAND) {
    if (run(read_all(&input_length))) stop(1);
    // Not through guest_fd_write: a result is data, also where text goes to a log.
    static u32 vector[2], written;
    for (u32 done = 0; done < output_length; done += written) {
      vector[0] = output + done;
      vector[1] = output_length - done;
      written = 0;
      if (host_fd_write(1, vector, 1, &written) || !written) stop(1);
    }
  }
}
