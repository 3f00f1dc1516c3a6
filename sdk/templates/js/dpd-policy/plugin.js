// The door between the gateway and policy.js: numbers become words, and spans become text.
import { about, Policy, schema } from './policy.js';

const modes = ['off', 'on-demand', 'periodic'];
const triggers = ['established', 'timer', 'before-send', 'answered', 'unanswered', 'moved'];
const decoder = new TextDecoder();
let running;

// The evidence as policy.js gets it.
function unpack(octets, piece) {
  const part = ({ at, length }) => octets.subarray(at, at + length);
  const text = (span) => decoder.decode(part(span));
  return {
    ...piece,
    mode: modes[piece.mode] ?? 'other',
    trigger: triggers[piece.trigger] ?? 'other',
    tenant: text(piece.tenant),
    template: text(piece.template),
    identity: text(piece.identity),
    endpoint: text(piece.endpoint),
    memo: part(piece.memo),
  };
}

export const plugin = {
  describe() {
    return { ...about, settingsSchema: JSON.stringify(schema) };
  },
  init(settings) {
    running = new Policy(JSON.parse(settings));
  },
};

export const dpd = {
  decide(octets, evidence) {
    return evidence.map((piece) => ({ action: running.decide(unpack(octets, piece)), ext: [] }));
  },
};
