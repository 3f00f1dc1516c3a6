#include "policy.h"
#include <string.h>

/* Digits of the largest time, two spaces and the line feed. */
#define REST 23

size_t line_room(struct text name, struct text identity) {
  return name.length + identity.length + REST;
}

static char *put(char *out, struct text text) {
  if (text.length > 0) {
    memcpy(out, text.at, text.length);
  }
  return out + text.length;
}

size_t line(char *out, uint64_t unix_s, struct text name, struct text identity) {
  char digits[20];
  size_t first = sizeof digits;
  do {
    digits[--first] = (char)('0' + unix_s % 10);
    unix_s /= 10;
  } while (unix_s != 0);
  char *end = put(out, (struct text){digits + first, sizeof digits - first});
  *end++ = ' ';
  end = put(end, name);
  *end++ = ' ';
  end = put(end, identity);
  *end++ = '\n';
  return (size_t)(end - out);
}
