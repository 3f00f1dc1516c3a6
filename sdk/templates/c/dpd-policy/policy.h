/* Probes a device when a packet goes out to it and it has been quiet.
 * Nothing here knows WebAssembly, so that it is tested as it is; plugin.c is the door. */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* For so long a device may be quiet. */
#define QUIET_MS 20000

struct device {
  bool before_send;
  bool unanswered;
  uint64_t now_ms;
  /* The last authentic packet of any kind. */
  uint64_t heard_ms;
  uint8_t transmissions;
  uint8_t retries;
};

enum action { WAIT, PROBE, GIVE_UP };

enum action decide(const struct device *device);

#endif
