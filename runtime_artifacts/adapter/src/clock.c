// Time, calendar and entropy.
#include "wasi.h"

// A host without a clock (the original's answers 0 and writes nothing) gets one that moves a
// microsecond whenever it is read, so that nothing waits for ever.
static u64 invented, answer;
static u64 read_clock(i32 clock) {
  answer = 0;
  host_clock_time_get(clock, 1, &answer);
  return answer;
}
u64 now(i32 clock) {
  u64 time = read_clock(clock);
  return time ? time : (invented += 1000);
}

// witx/typenames.witx: subscription is 48 bytes, event 32.
static u64 subscription[6], event[4];
void wait_until(u64 due) {
  u64 time = read_clock(1);
  if (!time) {
    invented = due;
    return;
  }
  while (time < due) {
    if (layout.flags & FLAG_FILES) {
      subscription[2] = 1;  // clock: monotonic
      subscription[3] = due - time;
      host_poll_oneoff(subscription, event, 1, state.cells);
    }
    time = read_clock(1);
  }
}

EXPORT("emscripten_date_now") double guest_date_now(void) { return (double)now(0) / 1e6; }
EXPORT("emscripten_get_now") double guest_get_now(void) { return (double)now(1) / 1e6; }
EXPORT("emscripten_get_now_res") double guest_get_now_res(void) { return 1.0; }
EXPORT("_emscripten_get_now_is_monotonic") i32 guest_is_monotonic(void) { return 1; }
EXPORT("mono_wasm_browser_entropy") i32 guest_entropy(u8 *to, u32 length) { return host_random_get(to, length) ? -1 : 0; }

// struct tm: tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday. The proleptic
// Gregorian calendar in years that begin in March, so that a leap day is a year's last.
static void civil_time(i64 seconds, i32 *tm) {
  i64 days = seconds / 86400;
  i32 rest = (i32)(seconds % 86400);
  if (rest < 0) {
    rest += 86400;
    days--;
  }
  enum { ERA = 146097, TO_MARCH_1_OF_0 = 719468 };  // days in 400 years; from then to 1970
  i64 since = days + TO_MARCH_1_OF_0, era = (since >= 0 ? since : since - (ERA - 1)) / ERA;
  u32 day = (u32)(since - era * ERA);
  u32 year = (day - day / 1460 + day / 36524 - day / (ERA - 1)) / 365;
  u32 day_of_year = day - (365 * year + year / 4 - year / 100), month = (5 * day_of_year + 2) / 153;
  i32 is_next = month >= 10;  // January and February
  i64 civil = (i64)year + era * 400 + is_next;
  i32 leap = (civil % 4 == 0 && civil % 100) || civil % 400 == 0;
  tm[0] = rest % 60;
  tm[1] = rest / 60 % 60;
  tm[2] = rest / 3600;
  tm[3] = (i32)(day_of_year - (153 * month + 2) / 5 + 1);
  tm[4] = (i32)(is_next ? month - 10 : month + 2);
  tm[5] = (i32)(civil - 1900);
  tm[6] = (i32)(((days + 4) % 7 + 7) % 7);
  tm[7] = (i32)(is_next ? day_of_year - 306 : day_of_year + 59 + (u32)leap);
}
EXPORT("_gmtime_js") void guest_gmtime(i64 seconds, i32 *tm) { civil_time(seconds, tm); }
EXPORT("_localtime_js") void guest_localtime(i64 seconds, i32 *tm) {
  civil_time(seconds, tm);
  tm[8] = tm[9] = 0;  // tm_isdst, tm_gmtoff
}
EXPORT("_tzset_js") void guest_tzset(i32 *zone, i32 *daylight, u8 *standard, u8 *summer) {
  *zone = *daylight = 0;
  copy(standard, "UTC", 4);
  copy(summer, "UTC", 4);
}
// .NET formats times itself; nothing of the runtime calls this.
EXPORT("strftime") i32 guest_strftime(u8 *to, u32 size, const u8 *format, const i32 *tm) {
  if (size) *to = 0;
  return 0;
}
