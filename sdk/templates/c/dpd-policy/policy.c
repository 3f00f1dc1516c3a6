#include "policy.h"

enum action decide(const struct device *device) {
  if (device->unanswered) {
    return device->transmissions > device->retries ? GIVE_UP : PROBE;
  }
  bool quiet = device->now_ms > device->heard_ms + QUIET_MS;
  return device->before_send && device->transmissions == 0 && quiet ? PROBE : WAIT;
}
