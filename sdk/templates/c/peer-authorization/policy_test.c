#include "policy.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool try(const char *identity) { return may_come_in(identity, strlen(identity)); }

int main(void) {
  assert(try("n1.branch.example"));
  assert(!try("n1.elsewhere.example"));
  assert(!try("example"));
  assert(!try(""));
  puts("ok");
  return 0;
}
