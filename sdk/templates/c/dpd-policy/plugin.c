/* The door between the gateway and policy.c. */
#include "gen/dpd_policy.h"
#include "policy.h"
#include <stdlib.h>
#include <string.h>

void exports_hawser_plugin_plugin_describe(exports_hawser_plugin_plugin_description_t *ret) {
  dpd_policy_string_dup(&ret->name, "{{name}}");
  dpd_policy_string_dup(&ret->version, "0.1.0");
  dpd_policy_string_dup(&ret->summary, "Says in one sentence what it does");
  dpd_policy_string_dup(&ret->settings_schema, "{\"type\": \"object\", \"additionalProperties\": false}");
}

bool exports_hawser_plugin_plugin_init(dpd_policy_string_t *settings,
                                       exports_hawser_plugin_plugin_settings_error_t *err) {
  /* The schema has no settings, and the gateway has checked that there are none. */
  (void)err;
  dpd_policy_string_free(settings);
  return true;
}

/* Reasons of a question: hawser.wit, evidence, trigger. */
enum { BEFORE_SEND = 2, UNANSWERED = 4 };

static uint64_t later(uint64_t a, uint64_t b) { return b > a ? b : a; }

static void answer(exports_hawser_plugin_dpd_evidence_t *e,
                   exports_hawser_plugin_dpd_decision_t *decision) {
  struct device device = {
      .before_send = e->trigger == BEFORE_SEND,
      .unanswered = e->trigger == UNANSWERED,
      .now_ms = e->now_ms,
      .heard_ms = later(later(e->established_ms, e->ike_in_ms), e->esp_in_ms),
      .transmissions = e->transmissions,
      .retries = e->retries,
  };
  memset(decision, 0, sizeof *decision);
  switch (decide(&device)) {
  case WAIT:
    decision->action.tag = EXPORTS_HAWSER_PLUGIN_DPD_ACTION_WAIT;
    break;
  case PROBE:
    decision->action.tag = EXPORTS_HAWSER_PLUGIN_DPD_ACTION_PROBE;
    decision->action.val.probe = e->retry_ms;
    break;
  case GIVE_UP:
    decision->action.tag = EXPORTS_HAWSER_PLUGIN_DPD_ACTION_GIVE_UP;
    dpd_policy_string_dup(&decision->action.val.give_up, "no probe was answered");
    break;
  }
}

void exports_hawser_plugin_dpd_decide(dpd_policy_list_u8_t *octets,
                                      exports_hawser_plugin_dpd_list_evidence_t *evidence,
                                      exports_hawser_plugin_dpd_list_decision_t *ret) {
  ret->len = evidence->len;
  ret->ptr = malloc(evidence->len * sizeof *ret->ptr);
  if (ret->ptr == NULL) {
    abort();
  }
  for (size_t n = 0; n < evidence->len; n++) {
    answer(&evidence->ptr[n], &ret->ptr[n]);
  }
  exports_hawser_plugin_dpd_list_evidence_free(evidence);
  /* Identity, memo and more lie in it: evidence->ptr[n].identity says where. */
  dpd_policy_list_u8_free(octets);
}
