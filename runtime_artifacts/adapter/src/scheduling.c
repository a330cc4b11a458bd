// Work without a thread: what Mono queues is done after the call that queued it.
#include "adapter.h"

IMPORT("mono", "mono_wasm_execute_timer") void mono_execute_timer(void);
enum { AT_ONCE = 64 };

EXPORT("mono_wasm_schedule_timer") void guest_schedule_timer(i32 milliseconds) {
  state.timer_at = now(1) + (u64)(milliseconds < 0 ? 0 : milliseconds) * 1000000;
}
EXPORT("schedule_background_exec") void guest_schedule_background(void) { state.work = 1; }

// Does what is due; `wait` for a timer if there is nothing else, and return after it ran.
void work(i32 wait) {
  state.inside = 1;
  for (i32 n = 0; n < AT_ONCE; n++) {
    if (state.work) {
      state.work = 0;
      mono_background_exec();
      continue;
    }
    if (state.timer_at == NEVER) break;
    if (now(1) < state.timer_at) {
      if (!wait) break;
      wait_until(state.timer_at);
    }
    state.timer_at = NEVER;
    mono_execute_timer();
    if (wait) break;
  }
  state.inside = 0;
}
