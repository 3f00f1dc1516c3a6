/* The door between the gateway and policy.c. */
#include "gen/peer_authorization.h"
#include "policy.h"
#include <stdlib.h>
#include <string.h>

void exports_hawser_plugin_plugin_describe(exports_hawser_plugin_plugin_description_t *ret) {
  peer_authorization_string_dup(&ret->name, "{{name}}");
  peer_authorization_string_dup(&ret->version, "0.1.0");
  peer_authorization_string_dup(&ret->summary, "Says in one sentence what it does");
  peer_authorization_string_dup(&ret->settings_schema, "{\"type\": \"object\", \"additionalProperties\": false}");
}

bool exports_hawser_plugin_plugin_init(peer_authorization_string_t *settings,
                                       exports_hawser_plugin_plugin_settings_error_t *err) {
  /* The schema has no settings, and the gateway has checked that there are none. */
  (void)err;
  peer_authorization_string_free(settings);
  return true;
}

void exports_hawser_plugin_authorization_authorize(
    exports_hawser_plugin_authorization_request_t *request,
    exports_hawser_plugin_authorization_verdict_t *ret) {
  memset(ret, 0, sizeof *ret);
  if (may_come_in((const char *)request->identity.ptr, request->identity.len)) {
    /* Empty lists: all that was asked for. */
    ret->tag = EXPORTS_HAWSER_PLUGIN_AUTHORIZATION_VERDICT_ALLOW;
  } else {
    ret->tag = EXPORTS_HAWSER_PLUGIN_AUTHORIZATION_VERDICT_DENY;
    peer_authorization_string_dup(&ret->val.deny.code, "not-permitted");
    peer_authorization_string_dup(&ret->val.deny.detail, "the identity is none of " SUFFIX);
  }
  exports_hawser_plugin_authorization_request_free(request);
}
