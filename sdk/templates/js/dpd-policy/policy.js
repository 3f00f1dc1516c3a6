// Probes a device when a packet goes out to it and it has been quiet.

export const about = {
  name: '{{name}}',
  version: '0.1.0',
  summary: 'Says in one sentence what it does',
};

export const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    'quiet-ms': {
      description: 'ESP goes out and nothing has come in for so long: probe.',
      type: 'integer',
      minimum: 1000,
      maximum: 3600000,
      default: 20000,
    },
  },
};

export class Policy {
  constructor(settings) {
    this.quietMs = BigInt(settings['quiet-ms'] ?? 20000);
  }

  // Points in time are BigInts, because they are 64 bits wide.
  decide(evidence) {
    const { retries } = evidence;
    const retryMs = BigInt(evidence.retryMs);
    if (evidence.trigger === 'unanswered') {
      if (evidence.transmissions > retries) {
        return { tag: 'give-up', val: 'no probe was answered' };
      }
      return { tag: 'probe', val: retryMs };
    }
    if (evidence.trigger === 'before-send' && evidence.transmissions === 0) {
      const signs = [evidence.establishedMs, evidence.ikeInMs, evidence.espInMs];
      const heard = signs.reduce((a, b) => (a > b ? a : b));
      if (evidence.nowMs - heard > this.quietMs) {
        return { tag: 'probe', val: retryMs };
      }
    }
    return { tag: 'wait' };
  }
}
