#include "policy.h"
#include <assert.h>
#include <stdio.h>

int main(void) {
  struct device device = {.before_send = true, .now_ms = QUIET_MS, .retries = 5};
  assert(decide(&device) == WAIT);
  device.now_ms++;
  assert(decide(&device) == PROBE);
  device.heard_ms = 1;
  assert(decide(&device) == WAIT);
  struct device silent = {.unanswered = true, .transmissions = 5, .retries = 5};
  assert(decide(&silent) == PROBE);
  silent.transmissions++;
  assert(decide(&silent) == GIVE_UP);
  puts("ok");
  return 0;
}
