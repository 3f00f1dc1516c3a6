#include "policy.h"
#include <string.h>

bool may_come_in(const char *identity, size_t length) {
  size_t suffix = strlen(SUFFIX);
  return length >= suffix && memcmp(identity + length - suffix, SUFFIX, suffix) == 0;
}
