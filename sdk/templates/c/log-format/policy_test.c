#include "policy.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static void check(uint64_t unix_s, const char *name, const char *identity, const char *expected) {
  struct text texts[2] = {{name, strlen(name)}, {identity, strlen(identity)}};
  char out[128];
  assert(line_room(texts[0], texts[1]) <= sizeof out);
  size_t length = line(out, unix_s, texts[0], texts[1]);
  assert(length <= line_room(texts[0], texts[1]));
  assert(length == strlen(expected) && memcmp(out, expected, length) == 0);
}

int main(void) {
  check(1699410963, "peer_up", "test", "1699410963 peer_up test\n");
  check(0, "config_applied", "-", "0 config_applied -\n");
  check(UINT64_MAX, "a", "", "18446744073709551615 a \n");
  puts("ok");
  return 0;
}
