/* The door between the gateway and policy.c. */
#include "gen/log_format.h"
#include "policy.h"
#include <stdlib.h>
#include <string.h>

void exports_hawser_plugin_plugin_describe(exports_hawser_plugin_plugin_description_t *ret) {
  log_format_string_dup(&ret->name, "{{name}}");
  log_format_string_dup(&ret->version, "0.1.0");
  log_format_string_dup(&ret->summary, "Says in one sentence what it does");
  log_format_string_dup(&ret->settings_schema, "{\"type\": \"object\", \"additionalProperties\": false}");
}

bool exports_hawser_plugin_plugin_init(log_format_string_t *settings,
                                       exports_hawser_plugin_plugin_settings_error_t *err) {
  /* The schema has no settings, and the gateway has checked that there are none. */
  (void)err;
  log_format_string_free(settings);
  return true;
}

static struct text part(const log_format_string_t *texts, exports_hawser_plugin_log_span_t span) {
  return (struct text){(const char *)texts->ptr + span.at, span.length};
}

static struct text identity(const log_format_string_t *texts,
                            const exports_hawser_plugin_log_event_t *event) {
  return event->identity.length > 0 ? part(texts, event->identity) : (struct text){"-", 1};
}

bool exports_hawser_plugin_log_format(log_format_string_t *texts,
                                      exports_hawser_plugin_log_list_field_t *fields,
                                      exports_hawser_plugin_log_list_event_t *events,
                                      log_format_list_u8_t *ret, log_format_string_t *err) {
  (void)err;
  size_t room = 0;
  for (size_t n = 0; n < events->len; n++) {
    exports_hawser_plugin_log_event_t *event = &events->ptr[n];
    room += line_room(part(texts, event->name), identity(texts, event));
  }
  char *out = malloc(room);
  if (room > 0 && out == NULL) {
    abort();
  }
  size_t used = 0;
  for (size_t n = 0; n < events->len; n++) {
    exports_hawser_plugin_log_event_t *event = &events->ptr[n];
    uint64_t unix_s = event->time_unix_ns / 1000000000;
    used += line(out + used, unix_s, part(texts, event->name), identity(texts, event));
  }
  ret->ptr = (uint8_t *)out;
  ret->len = used;
  exports_hawser_plugin_log_list_event_free(events);
  exports_hawser_plugin_log_list_field_free(fields);
  log_format_string_free(texts);
  return true;
}
