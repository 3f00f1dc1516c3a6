/* One line for each event: its time, name and identity.
 * Nothing here knows WebAssembly, so that it is tested as it is; plugin.c is the door. */
#ifndef POLICY_H
#define POLICY_H

#include <stddef.h>
#include <stdint.h>

/* Text with a length, as the gateway gives it. */
struct text {
  const char *at;
  size_t length;
};

/* Octets that a line of these texts needs at most. */
size_t line_room(struct text name, struct text identity);

/* Writes the line with its line feed; returns its length. */
size_t line(char *out, uint64_t unix_s, struct text name, struct text identity);

#endif
