/* Lets in the identities that end in SUFFIX.
 * Nothing here knows WebAssembly, so that it is tested as it is; plugin.c is the door. */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>

#define SUFFIX ".branch.example"

bool may_come_in(const char *identity, size_t length);

#endif
